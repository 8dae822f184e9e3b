// The cleaner's page: it draws what Python says, sends what the learner does, and decides nothing.
// All text is set as text, never as HTML.

const KEYS =
  "In the pictures: arrow keys move, Space selects, Shift with an arrow key selects several, " +
  "Ctrl-A the page, Escape none; Page Up and Page Down turn the page.";
const LETTERS = { k: "keep", d: "discard", c: "forget" };
const MENUS = { by: "Order", split: "Split", label: "Label", prediction: "Prediction", only: "Show" };

class Pictures extends View {
  cutOff =
    "The kernel was restarted or has stopped. Run this cell again (Shift-Enter): your choices come back.";
  menus = {};
  selected = new Set();
  current = null; // the id of the picture that Tab leads to
  ids = [];

  constructor(model, el) {
    super(model, el, "wgc");
    const row = (...children) => element("div", { class: "wg-row" }, ...children);
    const does = (what, label, attributes) => button(label, () => this.say({ do: what }), attributes);
    const menus = Object.entries(MENUS).map(([name, title]) => {
      const onchange = () => this.say({ do: "look", [name]: this.menus[name].value, page: 0 });
      this.menus[name] = element("select", { name, onchange });
      return element("label", {}, title, this.menus[name]);
    });
    this.place = element("span");
    this.count = element("span", { class: "wgc-count" });
    this.actions = element("div", { class: "wg-row", role: "group", "aria-label": "Choices" });
    this.grid = element("div", {
      class: "wgc-grid", role: "listbox", "aria-multiselectable": "true",
      "aria-label": model.get("name"), "aria-describedby": `${this.id}-keys`,
    });
    this.planTitle = element("h4", { id: `${this.id}-plan` });
    this.plan = element("ul", { class: "wgc-plan", tabindex: "0", "aria-labelledby": `${this.id}-plan` });
    this.root.append(
      element("div", { class: "wg-row wgc-menus" }, ...menus),
      row(button("← Page", () => this.turn(-1)), this.place, button("Page →", () => this.turn(1))),
      this.actions,
      element("p", { class: "wg-quiet", id: `${this.id}-keys` }, KEYS),
      this.grid, this.alert, this.spoken, this.planTitle, this.plan,
      row(does("apply", "Apply", { class: "wg-main" }), does("undo", "Undo"), does("redo", "Redo")),
    );
    this.on("change:page", () => this.draw());
    this.draw();
  }

  // -- what is drawn ------------------------------------------------------------------------------

  draw() {
    const page = this.model.get("page");
    if (!page.rows) return;
    const focused = this.grid.contains(document.activeElement);
    const at = Math.max(this.ids.indexOf(this.current), 0);
    for (const [name, select] of Object.entries(this.menus)) {
      const browsing = select === document.activeElement; // then a late answer moves nothing
      const value = browsing ? select.value : page.view[name];
      select.replaceChildren(...page.menus[name].map(([key, words]) => element("option", { value: key }, words)));
      select.value = value;
      select.parentElement.hidden = page.menus[name].length < 2;
    }
    this.drawActions(page.labels);
    this.place.textContent = page.place;
    this.page = page.view.page;
    this.grid.replaceChildren(...page.rows.map((row) => this.tile(row)));
    this.ids = page.rows.map(({ id }) => id);
    if (!this.ids.includes(this.current)) this.current = this.ids[Math.min(at, this.ids.length - 1)];
    this.select(this.ids.filter((id) => this.selected.has(id)), focused);
    this.planTitle.textContent = `Changes about to happen: ${page.changes}`;
    this.plan.replaceChildren(...page.plan.map((sentence) => element("li", {}, sentence)));
  }

  drawActions(labels) {
    if (labels.join("\n") === this.labels?.join("\n")) return; // a button that has the focus keeps it
    this.labels = labels;
    const does = (words, action, label) => button(words, () => this.choose(action, label));
    const others = element("select", { "aria-label": "Relabel to another class", onchange: () => {
      if (others.value) this.choose("relabel", others.value);
      others.value = "";
    } }, ...["", ...labels.slice(9)].map((label) => element("option", { value: label }, label || "other class …")));
    this.actions.replaceChildren(
      this.count,
      does("K keep", "keep"), does("D discard", "discard"), does("C no choice", "forget"),
      element("span", {}, "relabel to:"),
      ...labels.slice(0, 9).map((label, n) => does(`${n + 1} ${label}`, "relabel", label)),
      ...(labels.length > 9 ? [others] : []),
    );
  }

  tile({ id, image, choice, lines }) {
    const line = ([kind, text]) => element("span", { class: `wgc-${kind}` }, text);
    const picture = image ? element("img", { src: image, alt: "" }) : line(["quiet", "no picture"]);
    return element(
      "div",
      { role: "option", "data-id": id, "data-choice": choice.split(" ")[0], onclick: (event) => this.click(event, id) },
      element("span", { class: "wgc-frame" }, picture), ...lines.map(line),
    );
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
    this.count.textContent = this.selected.size ? `${this.selected.size} selected:` : "This picture:";
  }

  click({ shiftKey }, id) {
    if (shiftKey) return this.go(id, true);
    this.current = id;
    const others = [...this.selected].filter((other) => other !== id);
    this.select(this.selected.has(id) ? others : [...others, id], true);
  }

  // Go to a picture; `selecting` adds it to what is selected, with all on the way.
  go(id, selecting) {
    const [first, last] = [this.current, id].map((end) => this.ids.indexOf(end)).sort((a, b) => a - b);
    const way = selecting ? this.ids.slice(first, last + 1) : [];
    this.current = id;
    this.select(new Set([...this.selected, ...way]), true);
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
    } else if (key in steps) this.go(this.ids[at + steps[key]] ?? this.current, event.shiftKey);
    else if (key === " ") this.click(event, this.current);
    else if (key === "Escape" && this.selected.size) this.select([]);
    else if (key === "PageDown" || key === "PageUp") this.turn(key === "PageDown" ? 1 : -1);
    else if (key in LETTERS) this.choose(LETTERS[key]);
    else if (/^[1-9]$/.test(key) && key <= this.labels.length) this.choose("relabel", this.labels[key - 1]);
    else return false;
    return true;
  }

  turn(by) {
    this.say({ do: "look", page: this.page + by });
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
