// What every widget of the course rests on: it asks Python, waits, and says what went wrong.
// Python puts a widget's own script below this one (base.py): anywidget takes one file.

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

function button(label, onclick, attributes = {}) {
  return element("button", { type: "button", onclick, ...attributes }, label);
}

// One view of a widget. A subclass fills `root`, puts `alert` and `spoken` where they belong, and
// cleans up when the signal `closed` fires. Its `act`, if any, does what a key means there, and
// returns whether it means anything.
class View {
  patience = 4000; // ms without a reply before the learner is told why
  slow = "Python has not answered yet. If a cell is running, this is dealt with when it ends.";
  cutOff = "The kernel was restarted or has stopped. Run this cell again (Shift-Enter).";

  constructor(model, el, className) {
    this.model = model;
    this.id = `wg-${Math.random().toString(36).slice(2)}`; // a widget may be shown twice
    this.replies = new Map(); // the number of a question → what to do with its reply
    this.end = new AbortController();
    this.closed = this.end.signal;
    this.alert = element("p", { class: "wg-alert", role: "alert" });
    this.spoken = element("p", { class: "wg-spoken", role: "status", "aria-live": "polite" });
    this.root = element("section", { class: `wg wg-live ${className}`, "aria-label": model.get("name") });
    el.append(this.root);
    this.on("msg:custom", (reply, buffers) => this.replies.get(reply.nr)?.({ ...reply, buffers }));
    this.on("change:notice", () => this.warn(model.get("notice")));
    this.on("comm_live_update", () => this.warn(this.cutOff));
    this.warn(model.get("notice"));
    const hear = (event) => this.root.contains(event.target) && this.key(event);
    // on the window: before JupyterLab, which listens below
    window.addEventListener("keydown", hear, { capture: true, signal: this.closed });
  }

  // Hear an event of the model until the view is closed.
  on(event, listener) {
    this.model.on(event, listener);
    this.closed.addEventListener("abort", () => this.model.off(event, listener));
  }

  // Have Python do `content.do`. Returns its reply, however late; its `problem` is "" when it was
  // done, else a sentence, which is shown.
  async ask(content, { buffers = [] } = {}) {
    const nr = `${this.id}-${Math.random()}`;
    const waiting = setTimeout(() => this.warn(this.slow), this.patience);
    const reply = await new Promise((resolve) => {
      this.replies.set(nr, resolve);
      this.model.send({ ...content, nr }, undefined, buffers);
    });
    this.replies.delete(nr);
    clearTimeout(waiting);
    this.warn(reply.problem);
    return reply;
  }

  warn(sentence) {
    this.alert.textContent = sentence;
  }

  // JupyterLab must not take a key in here for one of its own (D twice deletes a cell). It gets what
  // saves and, where nothing is typed, what else has Ctrl and what runs a cell. Escape leaves.
  key(event) {
    const command = event.ctrlKey || event.metaKey;
    const typing = event.target.matches("textarea, input, select");
    const runs = event.key === "Enter" && event.shiftKey;
    if (this.act?.(event)) event.preventDefault();
    else if (command && event.key.toLowerCase() === "s") return;
    else if ((command || event.altKey || runs) && !typing) return;
    else if (event.key === "Escape") this.root.closest(".jp-Cell")?.focus();
    event.stopPropagation();
  }
}

function widget(OwnView) {
  return {
    render({ model, el }) {
      const view = new OwnView(model, el);
      return () => view.end.abort();
    },
  };
}
