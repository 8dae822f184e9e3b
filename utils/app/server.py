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

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler
from traitlets.config import Config
from voila.app import Voila
from voila.voila_identity_provider import VoilaIdentityProvider

from utils.common import CourseError

HERE = Path(__file__).parent
LOOPBACK = "127.0.0.1"
MESSAGE_BYTES = 4 << 20  # the page sends pictures in pieces of 1 MiB
MAX_VISITORS = 30  # at once; each has a kernel
FULL = "The app has as many visitors as it can take: please come back in a few minutes."
NO_TOKEN = "This address lacks its token: open the one that was printed in the terminal, whole."
PING = 30_000  # milliseconds between two questions whether the page is still there
EXTENSIONS = [
    "anywidget",
    "@jupyter-widgets/jupyterlab-manager",
    "@voila-dashboards/widgets-manager8",
]
CULL_AFTER, CULL_EVERY = 120, 30  # seconds without a page; seconds between two looks
# The page may load nothing from elsewhere, and nobody but these may show it inside theirs.
CONTENT = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; object-src 'none'"


class NoToken(JupyterHandler):
    """Where those are sent who come without the token; Jupyter's page would want a password."""

    @allow_unauthenticated
    def get(self) -> None:
        """Answer with the course's own page, and say what is missing."""
        page = self.settings["voila_jinja2_env"].get_template("error.html")
        self.set_status(403)
        self.finish(page.render(status_code=403, message=NO_TOKEN))


class Guard(VoilaIdentityProvider):
    """Lets those in who have the token."""

    def get_handlers(self) -> list[tuple[str, type[RequestHandler]]]:
        """In place of Jupyter's login and logout."""
        return [(r"/login", NoToken)]


def _admit(request: JupyterHandler, **_notebook: object) -> None:
    """Voilà calls this before it starts a visitor's kernel."""
    if len(request.kernel_manager.list_kernel_ids()) >= MAX_VISITORS:
        raise HTTPError(503, FULL)
    # Asking for the token sets its cookie. With it a page that is closed may end its kernel.
    request.xsrf_token  # noqa: B018


def voila_config(ip: str, port: int, token: str, framed_by: str = "") -> Config:
    """Voilà's configuration. `framed_by`: sites that may show the app inside a page of theirs.

    That a visitor's kernel obeys no request to run code is Voilà's own rule, and no setting.
    """
    config = Config()
    config.Voila.ip, config.Voila.port, config.Voila.port_retries = ip, port, 0
    config.Voila.token, config.Voila.identity_provider_class = token, Guard
    config.Voila.log_level, config.Voila.open_browser = "ERROR", False
    config.Voila.config_file_paths = []  # whatever the user's other notebooks are served with
    policy = f"{CONTENT}; frame-ancestors 'self' {framed_by}".strip()
    config.Voila.tornado_settings = {
        "websocket_max_message_size": MESSAGE_BYTES,
        "ws_ping_interval": PING,
        "ws_ping_timeout": PING,
        # a page elsewhere could otherwise reach us under a name of its own
        "allow_remote_access": ip != LOOPBACK,
        "headers": {"Content-Security-Policy": policy},
    }
    own = config.VoilaConfiguration
    own.template, own.extension_allowlist, own.prelaunch_hook = "course", EXTENSIONS, _admit
    own.allow_template_override = own.allow_theme_override = "NO"
    own.file_allowlist = []  # no file beside the notebook is anybody's business
    kernels = config.MappingKernelManager
    kernels.cull_idle_timeout, kernels.cull_interval = CULL_AFTER, CULL_EVERY
    kernels.transport_encryption = "auto"
    return config


def check_port(ip: str, port: int) -> None:
    """Raise `CourseError` when somebody else is listening there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ip, port))
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
    framed_by: str = "",
    browser: bool = False,
) -> None:
    """Serve `notebook` until Ctrl-C. Without a `token` one is made; "" lets everybody in.

    Raises `CourseError` when the port is taken.
    """
    check_port(ip, port)
    # Voilà finds templates through this variable; the kernels inherit it and do not mind.
    paths = [str(HERE), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(paths)
    if token is None:
        token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(16)
    address = f"http://{ip}:{port}/" + (f"?token={token}" if token else "")

    def announce() -> None:
        print(f"The app is at {address}\nCtrl-C stops it.", flush=True)
        if browser:
            webbrowser.open(address)

    app = Voila.instance(config=voila_config(ip, port, token, framed_by))
    app.initialize([str(notebook)])
    IOLoop.current().add_callback(announce)  # once it listens
    app.start()


def main() -> None:
    """`python -m utils.app.server NOTEBOOK --ip 0.0.0.0 --port 7860`, in an exported folder."""
    parser = argparse.ArgumentParser(description="Serve an app notebook with Voilà.")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--ip", default=LOOPBACK, help="0.0.0.0: reachable from other computers")
    parser.add_argument("--port", type=int, default=os.environ.get("PORT", 8866))
    parser.add_argument("--framed-by", default="", help="sites that may frame the app")
    options = parser.parse_args()
    # A public app has no token: whoever has the address is a visitor.
    serve(options.notebook, options.port, ip=options.ip, token="", framed_by=options.framed_by)


if __name__ == "__main__":
    main()
