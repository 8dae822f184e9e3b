// The cleaner's page: it draws what Python says, sends what the learner does, and decides nothing.
// All text is set as text, never as HTML.

const BROWSE = 150; // ms without an arrow key in a menu before what it stands on is shown
const KEYS =
  "In the pictures: arrow keys move, Space selects, Shift with an arrow key selects several, " +
  "Ctrl-A the page, Escape none; Page Up and Page Down turn the page.";
const LETTERS = { k: "keep", d: "discard", c: "forget" };

class Pictures extends View {
  cutOff =
    "The kernel was restarted or has stopped. Run this cell again (Shift-Enter): your choices come back.";
  selects = {};
  selected = new Set();
  current = null; // the id of the picture that Tab leads to
  ids = [];

  constructor(model, el) {
    super(model, el, "wgc");
    const row = (...children) => element("div", { class: "wg-row" }, ...children);
    const does = (what, label, attributes) => button(label, () => this.say({ do: what }), attributes);
    this.menus = element("div", { class: "wg-row wgc-menus" });
    this.place = element("span");
    this.back = button("← Page", () => this.turn(-1));
    this.next = button("Page →", () => this.turn(1));
    this.actions = element("div", { class: "wg-row", role: "group", "aria-label": "Choices" });
    this.grid = element("div", {
      class: "wgc-grid", role: "listbox", "aria-multiselectable": "true",
      "aria-label": model.get("name"), "aria-describedby": `${this.id}-keys`,
    });
    this.planTitle = element("h4", { id: `${this.id}-plan` });
    this.plan = element("ul", { class: "wgc-plan", tabindex: "0", "aria-labelledby": `${this.id}-plan` });
    this.apply = does("apply", "Apply", { class: "wg-main" });
    this.undo = does("undo", "Undo");
    this.redo = does("redo", "Redo");
    this.root.append(
      this.menus,
      row(this.back, this.place, this.next),
      this.actions,
      element("p", { class: "wg-quiet", id: `${this.id}-keys` }, KEYS),
      this.grid, this.alert, this.spoken, this.planTitle, this.plan,
      row(this.apply, this.undo, this.redo, does("suggest", "Suggest choices")),
    );
    this.on("change:page", () => this.draw());
    this.draw();
  }

  // -- what is drawn ------------------------------------------------------------------------------

  draw() {
    const page = (this.page = this.model.get("page"));
    if (!page.rows) return;
    const focused = this.grid.contains(document.activeElement);
    const at = Math.max(this.ids.indexOf(this.current), 0);
    const off = (control, disabled) => control.setAttribute("aria-disabled", disabled);
    page.menus.forEach((menu) => this.drawMenu(menu));
    this.drawActions(page.labels);
    this.place.textContent = `${page.place} · page ${page.page + 1} of ${page.pages}`;
    off(this.back, page.page === 0);
    off(this.next, page.page + 1 === page.pages);
    const old = new Map([...this.grid.children].map((tile) => [tile.dataset.id, tile]));
    this.grid.replaceChildren(...page.rows.map((row) => this.tile(row, old.get(row.id))));
    this.ids = page.rows.map(({ id }) => id);
    if (!this.ids.includes(this.current)) this.current = this.ids[Math.min(at, this.ids.length - 1)];
    this.select(this.ids.filter((id) => this.selected.has(id)), focused);
    this.planTitle.textContent = page.changes
      ? `About to happen: ${page.changes} change${page.changes === 1 ? "" : "s"}`
      : "Nothing is about to happen: no choice changes a file";
    this.plan.hidden = !page.changes;
    this.plan.replaceChildren(...page.plan.map((sentence) => element("li", {}, sentence)));
    off(this.apply, !page.changes);
    off(this.undo, !page.undo);
    off(this.redo, !page.redo);
  }

  drawMenu({ name, title, value, options }) {
    const select = (this.selects[name] ??= this.addMenu(name, title));
    const shown = select === document.activeElement ? select.value : value; // a late answer moves nothing
    const entries = JSON.stringify(options);
    if (select.dataset.entries !== entries)
      select.replaceChildren(...options.map(([key, words]) => element("option", { value: key }, words)));
    select.dataset.entries = entries;
    select.parentElement.hidden = options.length < 2;
    select.value = shown;
  }

  addMenu(name, title) {
    const look = (value) => this.say({ do: "look", [name]: value, page: 0 });
    let browsing;
    const onchange = () => {
      clearTimeout(browsing);
      browsing = setTimeout(look, BROWSE, select.value);
    };
    const select = element("select", { name, onchange });
    this.menus.append(element("label", {}, title, select));
    return select;
  }

  drawActions(labels) {
    if (labels.join("\n") === this.labels?.join("\n")) return; // a button that has the focus keeps it
    this.labels = labels;
    const act = (action, label) => () => this.choose(action, label);
    const classes = labels.slice(0, 9).map((label, n) => button(`${n + 1} ${label}`, act("relabel", label)));
    const more = labels.slice(9).map((label) => element("option", { value: label }, label));
    const others = element("select", { "aria-label": "Relabel to another class", onchange: () => {
      if (others.value) this.choose("relabel", others.value);
      others.value = "";
    } }, element("option", { value: "" }, "other class …"), ...more);
    this.count = element("span", { class: "wgc-count" });
    this.actions.replaceChildren(
      this.count,
      button("K keep", act("keep")), button("D discard", act("discard")), button("C no choice", act("forget")),
      element("span", {}, "relabel to:"), ...classes, ...(more.length ? [others] : []),
    );
  }

  tile(row, tile) {
    tile ??= element("div", {
      role: "option", "data-id": row.id, onclick: (event) => this.click(event, row.id),
      onfocus: () => (this.current = row.id),
    });
    const line = (kind, text) => element("span", { class: `wgc-${kind}` }, text);
    const picture = row.image ? element("img", { src: row.image, alt: "" }) : line("quiet", "no picture");
    tile.replaceChildren(
      element("span", { class: "wgc-frame" }, picture),
      line("label", row.label),
      ...row.facts.map((fact) => line("fact", fact)),
      ...row.remarks.map((remark) => line("remark", remark)),
      line("name", row.name),
      ...(row.choice ? [line("choice", row.choice)] : []),
    );
    tile.dataset.choice = row.choice.split(" ")[0];
    tile.setAttribute("aria-label", row.spoken);
    return tile;
  }

  // -- what the learner does ------------------------------------------------------------------------

  // Select these pictures; `focus` also gives the focus to the one whose turn it is.
  select(ids, focus = false) {
    this.selected = new Set(ids);
    for (const tile of this.grid.children) {
      const current = tile.dataset.id === this.current;
      tile.setAttribute("aria-selected", this.selected.has(tile.dataset.id));
      tile.tabIndex = current ? 0 : -1;
      if (current && focus) tile.focus();
    }
    this.count.textContent = ids.length ? `${ids.length} selected:` : "This picture:";
  }

  click({ shiftKey }, id) {
    if (shiftKey) return this.extend(id);
    this.anchor = this.current = id;
    const others = [...this.selected].filter((other) => other !== id);
    this.select(this.selected.has(id) ? others : [...others, id], true);
  }

  // Select all from the picture that was selected first to this one.
  extend(id) {
    const ends = [this.ids.indexOf(this.anchor ?? this.current), this.ids.indexOf(id)].sort((a, b) => a - b);
    this.current = id;
    this.select(this.ids.slice(Math.max(ends[0], 0), ends[1] + 1), true);
  }

  act(event) {
    if (!this.grid.contains(event.target)) return false;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const at = this.ids.indexOf(this.current);
    const columns = getComputedStyle(this.grid).gridTemplateColumns.split(" ").length;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: this.ids.length - 1 - at };
    if (event.ctrlKey || event.metaKey || event.altKey) {
      if (key !== "a" || event.altKey) return false;
      this.select(this.ids);
    } else if (key in steps) this.move(this.ids[at + steps[key]], event.shiftKey);
    else if (key === " ") this.click(event, this.current);
    else if (key === "Escape" && this.selected.size) this.select([]);
    else if (key === "PageDown" || key === "PageUp") this.turn(key === "PageDown" ? 1 : -1);
    else if (key in LETTERS) this.choose(LETTERS[key]);
    else if (/^[1-9]$/.test(key) && key <= this.labels.length) this.choose("relabel", this.labels[key - 1]);
    else return false;
    return true;
  }

  move(id, selecting) {
    if (id === undefined) return;
    if (selecting && !this.selected.size) this.anchor = this.current;
    if (selecting) return this.extend(id);
    this.current = id;
    this.select([...this.selected], true);
  }

  turn(by) {
    const page = this.page.page + by;
    if (page >= 0 && page < this.page.pages) this.say({ do: "look", page });
  }

  async choose(action, label = "") {
    const ids = this.selected.size ? [...this.selected] : [this.current].filter(Boolean);
    if (ids.length && (await this.say({ do: "choose", ids, action, label }))) this.select([]);
  }

  // Ask Python, and say what was done.
  async say(content) {
    const { problem, said = "" } = await this.ask(content);
    this.spoken.textContent = said;
    return problem === "";
  }
}

export default widget(Pictures);
