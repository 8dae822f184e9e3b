// The face of a question, or of a guess. It draws what Python says, sends what the learner does,
// and decides nothing. HTML that arrives here was escaped in show.py; the rest is set as text.

const PAUSE = 600; // ms without a key before a draft is sent
const BROWSE = 200; // ms without an arrow key in the list before the question it stands on is opened
const LETTERS = "abcdefghijklmnopqrstuvwxyz";

function rich(tag, attributes, html) {
  const node = element(tag, attributes);
  node.innerHTML = html; // from show.py
  return node;
}

// JupyterLab shows a notebook that it has to open first at its top: wait for the heading and go there.
async function scrollTo(notebook, anchor, tries = 50) {
  const heading = `.jp-NotebookPanel:not(.lm-mod-hidden) [data-jupyter-id="${CSS.escape(anchor)}"]`;
  for (let tried = 0; tried < tries; tried++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const found = decodeURIComponent(location.pathname).endsWith(notebook) && document.querySelector(heading);
    if (found) return found.scrollIntoView();
  }
}

class Card extends View {
  constructor(model, el) {
    super(model, el, "wg-card");
    this.slow += " What you typed is kept.";
    this.cutOff += " Your answers, and what you have typed here, come back.";
    this.status = element("p", { class: "wg-quiet wg-status" }, model.get("status"));
    this.previous = button("← Previous", () => this.step(-1));
    this.next = button("Next →", () => this.step(1));
    this.list = element("select", { "aria-label": "Go to question", onchange: () => this.choose() });
    this.bar = element("div", { class: "wg-row wg-bar" }, this.previous, this.list, this.next);
    this.body = element("div");
    this.result = element("div", { class: "wg-result" });
    this.root.append(this.status, this.bar, this.body, this.alert, this.spoken, this.result);
    this.on("change:status", () => (this.status.textContent = model.get("status")));
    this.on("change:listing", () => this.drawList());
    this.on("change:card", () => this.draw());
    const hidden = () => document.visibilityState === "hidden" && this.sendDraft(); // perhaps for good
    document.addEventListener("visibilitychange", hidden, { signal: this.closed });
    this.drawList();
    this.draw();
  }

  // -- what is drawn ------------------------------------------------------------------------------

  drawList() {
    this.listing = this.model.get("listing");
    this.list.replaceChildren(...this.listing.map(({ id, label }) => element("option", { value: id }, label)));
    this.bar.hidden = this.listing.length < 2;
    this.drawPlace();
  }

  drawPlace() {
    this.place = this.listing.findIndex(({ id }) => id === this.card?.id);
    if (this.chosen === this.card?.id) this.chosen = null;
    this.list.value = this.chosen ?? this.card?.id ?? ""; // a late answer must not move the list back
    this.previous.disabled = this.place <= 0;
    this.next.disabled = this.place < 0 || this.place === this.listing.length - 1;
  }

  draw() {
    const before = this.card;
    this.card = this.model.get("card");
    const same = before?.id === this.card.id;
    if (!same) {
      if (before) this.warn("");
      this.drawQuestion();
      if (this.stepped) this.control.querySelector("textarea, input")?.focus();
      this.stepped = false;
    }
    this.drawResult(same);
    this.drawPlace();
  }

  drawQuestion() {
    const { id, kind, number, text, check } = this.card;
    this.control = element("div", { oninput: () => this.typed() });
    this.saved = element("span", { class: "wg-quiet" });
    if (!id) return this.body.replaceChildren();
    const numbered = element("p", { class: "wg-quiet wg-number" }, number);
    const prompt = element("div", { class: "wg-prompt", id: `${this.id}-prompt` }, numbered, rich("div", {}, text));
    this.drawControl();
    const shown = element("div", { class: "wg-hints", "aria-live": "polite" });
    const hints = this.card.hints.map((hint) => rich("div", {}, hint));
    const hinter = button("Hint", () => {
      shown.append(hints.shift());
      hinter.textContent = "Another hint";
      hinter.hidden = hints.length === 0;
    }, { hidden: hints.length === 0 });
    const checker = button(check, () => this.check(), { class: "wg-main" });
    const actions = element("div", { class: "wg-row wg-actions" }, checker, hinter, this.saved);
    this.compare = kind === "draw" ? this.drawComparison() : "";
    this.body.replaceChildren(prompt, this.control, actions, shown, this.compare);
    const unsaved = sessionStorage.getItem(this.stash());
    this.setAnswer(unsaved ?? this.card.answer);
    if (unsaved !== null) this.typed();
  }

  drawControl() {
    const { kind, options, several } = this.card;
    const named = { "aria-labelledby": `${this.id}-prompt`, "aria-describedby": `${this.id}-keys` };
    const box = { ...named, class: "wg-box", spellcheck: String(kind !== "code") };
    const tick = (attributes, label) => element("label", { class: "wg-option" }, element("input", attributes), label);
    let control, keys = "Ctrl-Enter checks";
    if (kind === "choice") {
      const type = several ? "checkbox" : "radio";
      const ticks = options.map((option, n) => tick({ type, name: this.id, value: LETTERS[n] }, rich("span", {}, option)));
      control = element("div", { ...named, role: several ? "group" : "radiogroup" }, ...ticks);
      keys = (several ? "One or several may be right. Space ticks" : "Arrow keys choose") + `, ${keys}`;
    } else if (kind === "task") {
      control = tick({ type: "checkbox", value: "✓", "aria-describedby": `${this.id}-keys` }, "I have done this");
    } else if (kind === "number" || kind === "guess") {
      const inputmode = kind === "number" ? "decimal" : "text";
      control = element("input", { type: "text", ...box, inputmode, autocomplete: "off" });
      keys = `Enter ${kind === "guess" ? "saves" : "checks"}`;
    } else {
      control = element("textarea", { ...box, rows: kind === "code" ? 6 : 4 });
      control.classList.toggle("wg-code", kind === "code");
    }
    this.control.append(control, element("p", { class: "wg-quiet wg-keys", id: `${this.id}-keys` }, keys));
  }

  drawComparison() {
    const choices = [["same", "Mine is the same"], ["close", "Close"], ["different", "Different"]];
    const buttons = choices.map(([answer, label]) => button(label, () => this.check(answer)));
    const compare = element("div", { class: "wg-row", role: "group", "aria-label": "Compare", hidden: true }, ...buttons);
    const picture = element("div", { hidden: true });
    const show = button("I drew it on paper: show our picture", () => {
      picture.innerHTML = this.card.picture; // from show.py
      picture.hidden = compare.hidden = false;
      show.hidden = true;
      buttons[0].focus();
    });
    return element("div", { class: "wg-compare" }, show, picture, compare);
  }

  drawResult(aloud) {
    const { id, outcome, headline, message, result, overrule, section } = this.card;
    this.result.replaceChildren();
    this.spoken.dataset.outcome = outcome ?? "";
    // A live region speaks when it changes; emptied first, it also repeats the same verdict.
    this.spoken.setAttribute("aria-live", aloud ? "polite" : "off");
    this.spoken.replaceChildren(...(headline ? [element("b", {}, headline), " ", message] : []));
    if (this.compare) this.compare.hidden = result !== ""; // the result has the picture
    if (!outcome) return;
    const buttons = overrule.map(({ outcome, label }) => button(label, () => this.ask({ do: "overrule", id, outcome })));
    const actions = element("div", { class: "wg-row wg-actions" }, ...buttons);
    this.result.append(rich("div", {}, result), actions, element("p", {}, "Taught in ", this.link(section)));
  }

  link({ notebook, anchor, label }) {
    // JupyterLab's own command opens a notebook at a heading, in this tab, without losing the page.
    const here = decodeURIComponent(location.pathname).match(/\/(?:tree|notebooks)\/(.*)$/)?.[1] ?? "";
    const path = here.replace(/[^/]*$/, "") + notebook;
    return element("a", {
      onclick: () => scrollTo(notebook, anchor),
      href: `${encodeURIComponent(notebook)}#${anchor}`,
      "data-commandlinker-command": "rendermime:handle-local-link",
      "data-commandlinker-args": JSON.stringify({ path, id: `#${anchor}` }),
    }, label);
  }

  // -- what the learner does ----------------------------------------------------------------------

  act(event) {
    const command = event.ctrlKey || event.metaKey || event.shiftKey;
    const checks = event.key === "Enter" && (command || event.target.matches("input[type=text]")) && this.card.id;
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
    const letters = answer.split(", ");
    const ticked = ({ value }) => (this.card.kind === "task" ? answer !== "" : letters.includes(value));
    for (const input of this.control.querySelectorAll("label > input")) input.checked = ticked(input);
  }

  // Where text that Python has not acknowledged waits in the browser, in case the kernel is gone.
  stash() {
    return `whole-game:${this.model.get("name")}:${this.card.id}`;
  }

  typed() {
    sessionStorage.setItem(this.stash(), this.answer());
    this.saved.textContent = "";
    this.endPause();
    this.pause = setTimeout(() => this.sendDraft(), PAUSE);
  }

  endPause() {
    clearTimeout(this.pause);
    this.pause = null;
  }

  async sendDraft() {
    if (!this.pause || this.card.kind === "guess") return;
    this.endPause();
    if (await this.send("draft", this.answer())) this.saved.textContent = "Draft kept";
  }

  async check(answer = this.answer()) {
    this.endPause();
    this.saved.textContent = "Checking …";
    this.spoken.replaceChildren();
    await this.send("check", answer);
    this.saved.textContent = "";
  }

  async send(action, answer) {
    const stash = this.stash();
    const { problem } = await this.ask({ do: action, id: this.card.id, answer });
    if (!problem && sessionStorage.getItem(stash) === answer) sessionStorage.removeItem(stash);
    return !problem;
  }

  open(id) {
    if (!id) return;
    this.sendDraft();
    this.ask({ do: "open", id });
  }

  choose() {
    this.chosen = this.list.value;
    clearTimeout(this.browsing);
    this.browsing = setTimeout(() => this.open(this.chosen), BROWSE);
  }

  step(by) {
    this.stepped = true; // the list keeps the focus, so that arrow keys can go on through it
    this.open(this.listing[this.place + by]?.id);
  }
}

export default widget(Card);
