// The face of a `Cleaner`. It draws what Python says, sends what the learner does, and decides
// nothing. All text is set as text, never as HTML.

const PATIENCE = 4000; // ms without an answer from Python before the learner is told why
const BROWSE = 150; // ms without an arrow key in a menu before what it stands on is shown
const AGAIN = 1000; // ms before Python is asked how far it is with opening the pictures
const WAITING =
  "Python has not answered yet. If a cell is running, this is dealt with when it ends.";
const CUT_OFF =
  "The kernel was restarted or has stopped. Run this cell again (Shift-Enter): your choices come back.";
const KEYS =
  "In the pictures: arrow keys move, Space selects, Shift with an arrow key selects several, " +
  "Ctrl-A the page, Escape none; Page Up and Page Down turn the page.";

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

class Pictures {
  constructor(model, el) {
    this.model = model;
    this.prefix = `wgc-${Math.random().toString(36).slice(2)}`;
    this.waiting = new Map();
    this.images = new Map(); // a picture's key → the address of its thumbnail
    this.selects = {};
    this.wanted = {}; // what was chosen in the menus and not asked for yet
    this.selected = new Set();
    this.current = null; // the id of the picture that Tab leads to
    this.listeners = {
      "change:page": () => this.draw(),
      "change:notice": () => this.warn(model.get("notice")),
      "msg:custom": (message, buffers) => this.heard(message, buffers),
      comm_live_update: () => this.warn(CUT_OFF),
    };
    this.build(el);
    for (const [event, listener] of Object.entries(this.listeners)) model.on(event, listener);
  }

  close() {
    clearTimeout(this.later);
    clearTimeout(this.browsing);
    window.removeEventListener("keydown", this.hear, true);
    for (const [event, listener] of Object.entries(this.listeners)) this.model.off(event, listener);
    for (const address of this.images.values()) URL.revokeObjectURL(address);
  }

  // -- what is drawn ------------------------------------------------------------------------------

  build(el) {
    this.menus = element("div", { class: "wgc-menus" });
    this.place = element("span", { class: "wgc-place" });
    this.back = button("← Page", () => this.turn(-1));
    this.on = button("Page →", () => this.turn(1));
    this.actions = element("div", { class: "wgc-bar", role: "group", "aria-label": "Choices" });
    this.grid = element("div", {
      class: "wgc-grid", role: "listbox", "aria-multiselectable": "true",
      "aria-label": this.model.get("name"), "aria-describedby": `${this.prefix}-keys`,
    });
    this.alert = element("p", { class: "wgc-alert", role: "alert" });
    this.spoken = element("p", { class: "wgc-spoken", role: "status", "aria-live": "polite" });
    this.busy = element("p", { class: "wgc-small" });
    this.planTitle = element("h4", { id: `${this.prefix}-plan` });
    this.plan = element("ul", { class: "wgc-plan", tabindex: "0", "aria-labelledby": `${this.prefix}-plan` });
    this.apply = button("Apply", () => this.ask({ do: "apply" }), { class: "wgc-apply" });
    this.undo = button("Undo", () => this.ask({ do: "undo" }));
    this.redo = button("Redo", () => this.ask({ do: "redo" }));
    const suggest = button("Suggest choices", () => this.ask({ do: "suggest" }));
    this.root = element(
      "section",
      { class: "wgc wg-live", "aria-label": this.model.get("name") },
      this.menus,
      element("div", { class: "wgc-bar" }, this.back, this.place, this.on),
      this.actions,
      element("p", { class: "wgc-small", id: `${this.prefix}-keys` }, KEYS),
      this.grid, this.busy, this.alert, this.spoken, this.planTitle, this.plan,
      element("div", { class: "wgc-bar" }, this.apply, this.undo, this.redo, suggest),
    );
    el.append(this.root);
    this.hear = (event) => this.root.contains(event.target) && this.key(event);
    window.addEventListener("keydown", this.hear, true); // before JupyterLab, which listens below
    this.draw();
    this.warn(this.model.get("notice"));
  }

  draw() {
    const page = (this.page = this.model.get("page"));
    if (!page.rows) return;
    const focused = this.grid.contains(document.activeElement);
    const at = this.tiles().findIndex((tile) => tile.dataset.id === this.current);
    this.drawMenus(page.controls);
    this.drawActions(page.labels);
    this.place.textContent = `${page.place} · page ${page.page + 1} of ${page.pages}`;
    this.back.setAttribute("aria-disabled", page.page === 0);
    this.on.setAttribute("aria-disabled", page.page + 1 === page.pages);
    const old = new Map(this.tiles().map((tile) => [tile.dataset.id, tile]));
    this.grid.replaceChildren(...page.rows.map((row) => this.tile(row, old.get(row.id))));
    const ids = page.rows.map(({ id }) => id);
    this.selected = new Set(ids.filter((id) => this.selected.has(id)));
    if (!ids.includes(this.current)) this.current = ids[Math.min(Math.max(at, 0), ids.length - 1)];
    this.mark(focused);
    this.drawPlan(page);
    this.fetch();
    clearTimeout(this.later);
    if (page.busy) this.later = setTimeout(() => this.ask({ do: "look" }, true), AGAIN);
  }

  drawMenus(controls) {
    for (const { name, title, value, options } of controls) {
      const select = (this.selects[name] ??= this.addMenu(name, title));
      const entries = JSON.stringify(options);
      if (select.dataset.entries !== entries)
        select.replaceChildren(...options.map(([key, words]) => element("option", { value: key }, words)));
      select.dataset.entries = entries;
      select.parentElement.hidden = options.length < 2;
      select.value = this.wanted[name] ?? value; // a late answer must not move the menu back
    }
  }

  addMenu(name, title) {
    const onchange = () => {
      this.wanted[name] = select.value;
      clearTimeout(this.browsing);
      this.browsing = setTimeout(() => {
        this.ask({ do: "look", ...this.wanted, page: 0 });
        this.wanted = {};
      }, BROWSE);
    };
    const select = element("select", { name, onchange });
    this.menus.append(element("label", {}, title, select));
    return select;
  }

  drawActions(labels) {
    if (labels.join("\n") === this.labels?.join("\n")) return;
    this.labels = labels;
    const act = (action, label) => () => this.choose(action, label);
    this.count = element("span", { class: "wgc-count" });
    const classes = labels.slice(0, 9).map((label, n) => button(`${n + 1} ${label}`, act("relabel", label)));
    const others = element("select", { "aria-label": "Relabel to another class", onchange: () => this.other(others) },
      element("option", { value: "" }, "other class …"),
      ...labels.slice(9).map((label) => element("option", { value: label }, label)));
    this.actions.replaceChildren(
      this.count,
      button("K keep", act("keep")), button("D discard", act("discard")), button("C no choice", act("forget")),
      element("span", {}, "relabel to:"), ...classes, ...(labels.length > 9 ? [others] : []),
    );
  }

  other(select) {
    if (select.value) this.choose("relabel", select.value);
    select.value = "";
  }

  tile(row, tile) {
    tile ??= element("div", {
      role: "option", "data-id": row.id, onclick: (event) => this.click(event, row.id),
      onfocus: () => (this.current = row.id),
    });
    const image = this.images.get(row.key);
    const picture = image
      ? element("img", { src: image, alt: "" })
      : element("span", { class: "wgc-blank" }, image === "" ? "no picture" : "…");
    const line = (kind, text) => element("span", { class: `wgc-${kind}` }, text);
    tile.replaceChildren(
      element("span", { class: "wgc-frame" }, picture),
      line("label", row.label),
      ...row.facts.map((fact) => line("fact", fact)),
      ...row.marks.map((mark) => line("mark", mark)),
      line("name", row.name),
      ...(row.choice ? [line("choice", row.choice)] : []),
    );
    tile.dataset.choice = row.choice.split(" ")[0];
    tile.setAttribute("aria-label", row.spoken);
    return tile;
  }

  tiles() {
    return [...this.grid.children];
  }

  // Show which are selected and which one has its turn; `focus` also gives it the focus.
  mark(focus = false) {
    for (const tile of this.tiles()) {
      const current = tile.dataset.id === this.current;
      tile.setAttribute("aria-selected", this.selected.has(tile.dataset.id));
      tile.tabIndex = current ? 0 : -1;
      if (current && focus) tile.focus();
    }
    const count = this.selected.size;
    this.count.textContent = count ? `${count} selected:` : "This picture:";
  }

  drawPlan({ plan, changes, undo, redo, busy }) {
    this.planTitle.textContent = changes
      ? `About to happen: ${changes} change${changes === 1 ? "" : "s"}`
      : "Nothing is about to happen: no choice changes a file";
    this.plan.hidden = !changes;
    this.plan.replaceChildren(...plan.map((sentence) => element("li", {}, sentence)));
    this.apply.setAttribute("aria-disabled", !changes);
    this.undo.setAttribute("aria-disabled", !undo);
    this.redo.setAttribute("aria-disabled", !redo);
    this.busy.textContent = busy;
  }

  // Ask for the page's thumbnails until all are there.
  async fetch() {
    const wanted = () => this.page.rows.filter(({ key }) => !this.images.has(key));
    if (this.fetching) return;
    this.fetching = true;
    while (wanted().length && (await this.ask({ do: "thumbnails", ids: wanted().map(({ id }) => id) }, true)));
    this.fetching = false;
  }

  show(ids, buffers) {
    ids.forEach((id, n) => {
      const row = this.page.rows.find((row) => row.id === id);
      if (!row || this.images.has(row.key)) return;
      const jpeg = new Blob([buffers[n]], { type: "image/jpeg" });
      this.images.set(row.key, jpeg.size ? URL.createObjectURL(jpeg) : "");
      this.tile(row, this.tiles().find((tile) => tile.dataset.id === id));
    });
  }

  // -- what the learner does ------------------------------------------------------------------------

  click(event, id) {
    if (event.shiftKey) this.extend(id);
    else {
      if (!this.selected.delete(id)) this.selected.add(id);
      this.anchor = id;
    }
    this.current = id;
    this.mark(true);
  }

  // Select all from the picture that was selected first to this one.
  extend(id) {
    const ids = this.page.rows.map((row) => row.id);
    const [from, to] = [ids.indexOf(this.anchor ?? this.current), ids.indexOf(id)].sort((a, b) => a - b);
    this.selected = new Set(ids.slice(Math.max(from, 0), to + 1));
  }

  // JupyterLab must not take a key in here for one of its own (D twice deletes a cell, arrows leave
  // it); those with Ctrl that mean nothing to us are left to it.
  key(event) {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (this.grid.contains(event.target) && this.acted(event, plain)) event.preventDefault();
    const theirs = event.key === "Escape" || (event.key === "Enter" && event.shiftKey); // leave, run
    if (event.defaultPrevented || (plain && !theirs)) event.stopPropagation();
  }

  // Do what a key means in the pictures; false when it means nothing.
  acted(event, plain) {
    const ids = this.page.rows.map((row) => row.id);
    const at = ids.indexOf(this.current);
    const columns = getComputedStyle(this.grid).gridTemplateColumns.split(" ").length;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: ids.length - 1 - at };
    const letters = { k: "keep", d: "discard", c: "forget" };
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === "a" && (event.ctrlKey || event.metaKey)) this.select(ids);
    else if (!plain) return false;
    else if (key in steps) this.move(ids[at + steps[key]], event.shiftKey);
    else if (key === " ") this.click(event, this.current);
    else if (key === "Escape" && this.selected.size) this.select([]);
    else if (key === "PageDown" || key === "PageUp") this.turn(key === "PageDown" ? 1 : -1);
    else if (key in letters) this.choose(letters[key]);
    else if (/^[1-9]$/.test(key) && this.labels[key - 1] !== undefined) this.choose("relabel", this.labels[key - 1]);
    else return false;
    return true;
  }

  move(id, selecting) {
    if (id === undefined) return;
    if (selecting) {
      if (!this.selected.size) this.anchor = this.current;
      this.extend(id);
    }
    this.current = id;
    this.mark(true);
  }

  select(ids) {
    this.selected = new Set(ids);
    this.mark();
  }

  turn(by) {
    const page = this.page.page + by;
    if (page >= 0 && page < this.page.pages) this.ask({ do: "look", page });
  }

  async choose(action, label = "") {
    const ids = this.selected.size ? [...this.selected] : [this.current].filter(Boolean);
    if (ids.length && (await this.ask({ do: "choose", ids, action, label }))) this.select([]);
  }

  // -- talking to Python ----------------------------------------------------------------------------

  // `quietly`: what nobody has asked for does not take away the last words.
  async ask(content, quietly = false) {
    const nr = `${this.prefix}-${Math.random()}`;
    const patience = setTimeout(() => this.warn(WAITING), PATIENCE);
    const { problem, said } = await new Promise((resolve) => {
      this.waiting.set(nr, resolve);
      this.model.send({ ...content, nr });
    });
    clearTimeout(patience);
    if (!quietly || problem) this.warn(problem);
    if (!quietly) this.spoken.textContent = said;
    return problem === "";
  }

  heard(message, buffers) {
    if (message.ids) this.show(message.ids, buffers);
    this.waiting.get(message.nr)?.(message);
    this.waiting.delete(message.nr);
  }

  warn(sentence) {
    this.alert.textContent = sentence;
  }
}

export default {
  render({ model, el }) {
    const pictures = new Pictures(model, el);
    return () => pictures.close();
  },
};
