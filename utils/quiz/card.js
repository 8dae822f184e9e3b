// The face of questions, or of a guess. It draws what Python says, sends what the learner does, and
// decides nothing. HTML that arrives here was escaped in show.py; the rest is set as text.

const OVERRULES = { right: "I was right", partial: "I had part of it", wrong: "I was not" };

function rich(tag, attributes, html) {
  const node = element(tag, attributes);
  node.innerHTML = html; // from show.py
  return node;
}

// Text that is not checked yet waits in the browser, which a kernel that is gone leaves alone. A host
// that shows a widget on a page of its own may forbid it that store: then it waits while the page is.
let drafts = {};
try {
  drafts = localStorage ?? drafts;
} catch {}

// JupyterLab shows a notebook that it has to open first at its top: wait for the heading and go there.
async function scrollTo(notebook, anchor, tries = 50) {
  const heading = `.jp-NotebookPanel:not(.lm-mod-hidden) [data-jupyter-id="${CSS.escape(anchor)}"]`;
  for (let tried = 0; tried < tries; tried++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const found = decodeURIComponent(location.pathname).endsWith(notebook) && document.querySelector(heading);
    if (found) return found.scrollIntoView();
  }
}

class Cards extends View {
  constructor(model, el) {
    super(model, el, "wg-card");
    this.slow += " What you typed is kept.";
    this.cutOff += " Your answers come back; what you have typed waits in this browser.";
    this.status = element("p", { class: "wg-quiet wg-status" }, model.get("status"));
    this.previous = button("← Previous", () => this.step(-1));
    this.next = button("Next →", () => this.step(1));
    const onchange = () => this.open(this.list.selectedIndex);
    this.list = element("select", { "aria-label": "Go to question", onchange });
    this.bar = element("div", { class: "wg-row wg-bar" }, this.previous, this.list, this.next);
    this.body = element("div");
    this.result = element("div", { class: "wg-result" });
    this.root.append(this.status, this.bar, this.body, this.alert, this.spoken, this.result);
    this.on("change:status", () => (this.status.textContent = model.get("status")));
    this.on("change:cards", () => this.draw());
    const cards = model.get("cards");
    this.place = Math.max(cards.findIndex(({ outcome }) => !outcome), 0);
    this.drawList();
    if (cards.length) this.open(this.place);
  }

  // -- what is drawn ------------------------------------------------------------------------------

  get card() {
    return this.model.get("cards")[this.place];
  }

  open(place) {
    this.place = this.list.selectedIndex = place;
    this.previous.disabled = place === 0;
    this.next.disabled = place === this.list.length - 1;
    this.warn(this.model.get("notice")); // and no more what was said of another card
    this.drawQuestion();
    this.drawResult("off");
  }

  draw() {
    this.drawList();
    this.drawResult("polite");
  }

  drawList() {
    const options = this.model.get("cards").map(({ id, label, headline }, n) =>
      element("option", { value: id }, `${n + 1}. ${headline ? `(${headline}) ` : ""}${label}`));
    this.list.replaceChildren(...options);
    this.list.selectedIndex = this.place;
    this.bar.hidden = options.length < 2;
  }

  drawQuestion() {
    const { kind, text, hints = [], answer = "" } = this.card;
    const guess = kind === "guess";
    const number = guess ? "Guess first" : `Question ${this.place + 1} of ${this.list.length}`;
    const numbered = element("p", { class: "wg-quiet wg-number" }, number);
    const prompt = element("div", { class: "wg-prompt", id: `${this.id}-prompt` }, numbered, rich("div", {}, text));
    this.control = element("div", { oninput: () => (drafts[this.stash()] = this.answer()) });
    this.drawControl();
    const checker = button(guess ? "Keep my guess" : "Check", () => this.check(), { class: "wg-main" });
    const actions = element("div", { class: "wg-row wg-actions" }, checker);
    if (kind === "draw") actions.append(button("I drew it on paper", () => this.check("drawn on paper")));
    const shown = hints.map((hint, n) =>
      element("details", {}, element("summary", {}, `Hint ${n + 1} of ${hints.length}`), rich("div", {}, hint)));
    this.body.replaceChildren(prompt, this.control, actions, element("div", { class: "wg-hints" }, ...shown));
    this.setAnswer(drafts[this.stash()] ?? answer);
  }

  drawControl() {
    const { kind, options = [], several } = this.card;
    const named = { "aria-labelledby": `${this.id}-prompt`, "aria-describedby": `${this.id}-keys` };
    const code = kind === "code";
    const box = { ...named, class: code ? "wg-box wg-code" : "wg-box", spellcheck: String(!code) };
    let control, keys = "Ctrl-Enter checks";
    if (options.length) {
      const type = several || kind === "task" ? "checkbox" : "radio";
      const tick = ([value, html]) =>
        element("label", { class: "wg-option" }, element("input", { type, name: this.id, value }), rich("span", {}, html));
      control = element("div", { ...named, role: type === "radio" ? "radiogroup" : "group" }, ...options.map(tick));
      keys = `${type === "radio" ? "Arrow keys choose" : "Space ticks"}, ${keys}`;
      if (several) keys = `One or several may be right. ${keys}`;
    } else if (kind === "number" || kind === "guess") {
      control = element("input", { type: "text", ...box, autocomplete: "off" });
      keys = `Enter ${kind === "guess" ? "saves" : "checks"}`;
    } else {
      control = element("textarea", { ...box, rows: 5 });
    }
    this.control.append(control, element("p", { class: "wg-quiet wg-keys", id: `${this.id}-keys` }, keys));
  }

  drawResult(live) {
    const { id, outcome = "", headline, message = "", answer, result, notebook, section } = this.card;
    this.spoken.dataset.outcome = outcome;
    this.spoken.setAttribute("aria-live", live);
    this.spoken.replaceChildren(...(headline ? [element("b", {}, headline), " ", message] : []));
    this.result.replaceChildren();
    if (!outcome) return;
    if (answer !== this.answer()) // a draft stands in the box
      this.result.append(element("p", { class: "wg-quiet" }, `This is about what you checked last: ${answer}`));
    const others = Object.entries(OVERRULES).filter(([own]) => own !== outcome);
    const overrule = (own) => this.ask({ do: "overrule", id, outcome: own });
    const buttons = others.map(([own, label]) => button(label, () => overrule(own)));
    const actions = element("div", { class: "wg-row wg-actions" }, ...buttons);
    const taught = element("p", {}, "Taught in ", this.link(notebook, section));
    this.result.append(rich("div", {}, result), actions, taught);
  }

  link(notebook, section) {
    // JupyterLab's own command opens a notebook at a heading, in this tab, without losing the page.
    const file = `${notebook}.ipynb`, anchor = section.replaceAll(" ", "-");
    const here = decodeURIComponent(location.pathname).match(/\/(?:tree|notebooks)\/(.*)$/)?.[1] ?? "";
    const path = here.replace(/[^/]*$/, "") + file;
    return element("a", {
      onclick: () => scrollTo(file, anchor),
      href: `${encodeURIComponent(file)}#${anchor}`,
      "data-commandlinker-command": "rendermime:handle-local-link",
      "data-commandlinker-args": JSON.stringify({ path, id: `#${anchor}` }),
    }, `${notebook}: ${section}`);
  }

  // -- what the learner does ----------------------------------------------------------------------

  act({ key, ctrlKey, metaKey, shiftKey, target }) {
    const checks = key === "Enter" && (ctrlKey || metaKey || shiftKey || target.matches("input[type=text]"));
    if (checks) this.check();
    return checks;
  }

  answer() {
    const box = this.control.querySelector(".wg-box");
    const ticked = [...this.control.querySelectorAll("input:checked")].map(({ value }) => value);
    return box ? box.value : ticked.join(", ");
  }

  setAnswer(answer) {
    const box = this.control.querySelector(".wg-box");
    if (box) box.value = answer;
    const ticked = answer.split(", ");
    for (const input of this.control.querySelectorAll("label > input")) input.checked = ticked.includes(input.value);
  }

  stash() {
    return `whole-game:${this.model.get("name")}:${this.card.id}`;
  }

  async check(answer = this.answer()) {
    const { id } = this.card, stash = this.stash();
    this.spoken.replaceChildren("Checking …"); // so that the same verdict is read out again
    const { problem } = await this.ask({ do: "check", id, answer });
    if (problem) return this.drawResult("off");
    this.warn(this.model.get("notice")); // that the file of answers was damaged
    if (drafts[stash] === answer) delete drafts[stash];
  }

  step(by) {
    this.open(this.place + by);
    this.control.querySelector("textarea, input").focus(); // the list keeps the focus, for its arrow keys
  }
}

export default widget(Cards);
