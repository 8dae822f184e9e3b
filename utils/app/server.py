"""Serves a notebook as an app with Voilà: a kernel for each visitor, and no code from any of them.

It runs in the course (`course app`) and in an exported folder (`python -m utils.app.server`), so
it imports nothing that the folder does not have.
"""

import argparse
import errno
import os
import secrets
import socket
import webbrowser
from pathlib import Path

from jupyter_server.auth.identity import User
from jupyter_server.base.handlers import JupyterHandler
from tornado.ioloop import IOLoop
from tornado.web import HTTPError
from traitlets.config import Config
from voila.app import Voila
from voila.voila_identity_provider import VoilaIdentityProvider

from utils.common import CourseError

HERE = Path(__file__).parent
LOOPBACK = "127.0.0.1"
MAX_VISITORS = 30  # at once; each has a kernel
FULL = "The app has as many visitors as it can take: please come back in a few minutes."
NO_TOKEN = "This address lacks its token: open the one that was printed in the terminal, whole."
EXTENSIONS = [
    "anywidget",
    "@jupyter-widgets/jupyterlab-manager",
    "@voila-dashboards/widgets-manager8",
]
CULL_AFTER, CULL_EVERY = 120, 30  # seconds without a page; seconds between two looks
# The page may load nothing from elsewhere.
CONTENT = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; object-src 'none'"


class Guard(VoilaIdentityProvider):
    """Lets those in who have the token."""

    def get_handlers(self) -> list[tuple[str, object]]:
        """None, in place of Jupyter's login and logout."""
        return []

    async def get_user(self, handler: JupyterHandler) -> User:
        """The visitor; Jupyter would show those without a token a page that wants a password."""
        handler.current_user = await super().get_user(handler)
        if not handler.current_user:
            raise HTTPError(403, NO_TOKEN)
        return handler.current_user


def _admit(request: JupyterHandler, **_notebook: object) -> None:
    """Voilà calls this before it starts a visitor's kernel."""
    if len(request.kernel_manager.list_kernel_ids()) >= MAX_VISITORS:
        raise HTTPError(503, FULL)
    # Asking for the token sets its cookie. With it a page that is closed may end its kernel.
    request.xsrf_token  # noqa: B018


def check_port(ip: str, port: int) -> None:
    """Raise `CourseError` when somebody else is listening there."""
    try:
        socket.create_server((ip, port)).close()
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        why = "is taken, perhaps by an app still running" if taken else f"({error.strerror})"
        raise CourseError(f"Port {port} {why}: choose another with --port.") from None


def serve(
    notebook: Path,
    port: int,
    *,
    ip: str = LOOPBACK,
    token: str | None = None,
    frames: str = "'self'",
    browser: bool = False,
) -> None:
    """Serve `notebook` until Ctrl-C. Without a `token` one is made; "" lets everybody in.

    `frames`: whose pages may show the app inside theirs.

    That a visitor's kernel obeys no request to run code is Voilà's own rule, and no setting.
    """
    # Voilà finds templates through this variable; the kernels inherit it and do not mind.
    paths = [str(HERE), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(paths)
    if token is None:
        token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(16)
    address = f"http://{ip}:{port}/" + (f"?token={token}" if token else "")

    config = Config()
    config.Voila.ip, config.Voila.port, config.Voila.port_retries = ip, port, 0
    config.Voila.token, config.Voila.identity_provider_class = token, Guard
    config.Voila.log_level, config.Voila.open_browser = "ERROR", False
    config.Voila.config_file_paths = []  # whatever the user's other notebooks are served with
    config.Voila.tornado_settings = {
        # a page elsewhere could otherwise reach us under a name of its own
        "allow_remote_access": ip != LOOPBACK,
        "ws_ping_timeout": 30_000,  # as between two pings: of more, tornado warns
        "headers": {"Content-Security-Policy": f"{CONTENT}; frame-ancestors {frames}"},
    }
    own = config.VoilaConfiguration
    own.template, own.extension_allowlist, own.prelaunch_hook = "course", EXTENSIONS, _admit
    own.allow_template_override = own.allow_theme_override = "NO"
    own.file_allowlist = []  # no file beside the notebook is anybody's business
    kernels = config.MappingKernelManager
    kernels.cull_idle_timeout, kernels.cull_interval = CULL_AFTER, CULL_EVERY
    kernels.transport_encryption = "auto"

    def announce() -> None:
        print(f"The app is at {address}\nCtrl-C stops it.", flush=True)
        if browser:
            webbrowser.open(address)

    app = Voila.instance(config=config)
    app.initialize([str(notebook)])
    IOLoop.current().add_callback(announce)  # once it listens
    app.start()


def main() -> None:
    """`python -m utils.app.server NOTEBOOK --ip 0.0.0.0 --port 7860`, in an exported folder."""
    parser = argparse.ArgumentParser(description="Serve an app notebook with Voilà.")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--ip", default=LOOPBACK, help="0.0.0.0: reachable from other computers")
    parser.add_argument("--port", type=int, default=os.environ.get("PORT", 8866))
    options = parser.parse_args()
    # A public app has no token: whoever has the address is a visitor.
    frames = "'self' https://huggingface.co"
    serve(options.notebook, options.port, ip=options.ip, token="", frames=frames)


if __name__ == "__main__":
    main()
