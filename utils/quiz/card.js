// The face of a question, or of a guess. It draws what Python says, sends what the learner does,
// and decides nothing. HTML that arrives here was escaped in html.py; the rest is set as text.

const PAUSE = 600; // ms without a key before a draft is sent
const BROWSE = 200; // ms without an arrow key in the list before the question it stands on is opened
const PATIENCE = 4000; // ms without an answer from Python before the learner is told why
const WAITING =
  "Python has not answered yet. If a cell is running, this is dealt with when it ends. " +
  "What you typed is kept.";
const CUT_OFF =
  "The kernel was restarted or has stopped. Run this cell again (Shift-Enter): " +
  "your answers, and what you have typed here, come back.";
const LETTERS = "abcdefghijklmnopqrstuvwxyz";

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

function escaped(tag, attributes, html) {
  const node = element(tag, attributes);
  node.innerHTML = html; // from html.py
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

class Card {
  constructor(model, el) {
    this.model = model;
    this.prefix = `wg-${Math.random().toString(36).slice(2)}`; // every card has this module anew
    this.waiting = new Map();
    this.listeners = {
      "change:card": () => this.cardChanged(),
      "change:listing": () => this.listingChanged(),
      "change:status": () => (this.status.textContent = model.get("status")),
      "change:notice": () => this.say(model.get("notice")),
      "msg:custom": (message) => this.heard(message),
      comm_live_update: () => this.say(CUT_OFF),
    };
    this.build(el);
    for (const [event, listener] of Object.entries(this.listeners)) model.on(event, listener);
    this.leave = () => document.visibilityState === "hidden" && this.sendDraft();
    document.addEventListener("visibilitychange", this.leave);
  }

  close() {
    this.sendDraft();
    document.removeEventListener("visibilitychange", this.leave);
    for (const [event, listener] of Object.entries(this.listeners)) this.model.off(event, listener);
  }

  // -- what is drawn ------------------------------------------------------------------------------

  build(el) {
    this.status = element("p", { class: "wg-status" }, this.model.get("status"));
    this.previous = element("button", { type: "button", onclick: () => this.step(-1) }, "← Previous");
    this.next = element("button", { type: "button", onclick: () => this.step(1) }, "Next →");
    this.list = element("select", { "aria-label": "Go to question", onchange: () => this.choose() });
    this.bar = element("div", { class: "wg-bar" }, this.previous, this.list, this.next);
    this.body = element("div", { class: "wg-body" });
    this.spoken = element("p", { class: "wg-spoken", role: "status", "aria-live": "polite" });
    this.result = element("div", { class: "wg-result" });
    this.alert = element("p", { class: "wg-alert", role: "alert" });
    const root = element(
      "section",
      { class: "wg-card wg-live", "aria-label": this.model.get("name"), onkeydown: (e) => this.key(e) },
      this.status, this.bar, this.body, this.alert, this.spoken, this.result,
    );
    el.append(root);
    this.listingChanged();
    this.cardChanged();
    this.say(this.model.get("notice"));
  }

  listingChanged() {
    const listing = this.model.get("listing");
    const options = listing.map(({ id, label }) => element("option", { value: id }, label));
    this.list.replaceChildren(...options);
    this.bar.hidden = listing.length < 2;
    this.markPlace();
  }

  markPlace() {
    const place = this.place();
    if (this.chosen === this.card?.id) this.chosen = null;
    this.list.value = this.chosen ?? this.card?.id ?? ""; // a late answer must not move the list back
    this.previous.disabled = place <= 0;
    this.next.disabled = place < 0 || place === this.model.get("listing").length - 1;
  }

  place() {
    return this.model.get("listing").findIndex(({ id }) => id === this.card?.id);
  }

  cardChanged() {
    const before = this.card;
    this.card = this.model.get("card");
    if (before?.id !== this.card.id) {
      this.drawQuestion();
      if (this.stepped) this.control.querySelector("textarea, input")?.focus();
      this.stepped = false;
    }
    this.drawHints();
    this.drawResult(before?.id === this.card.id);
    this.markPlace();
  }

  drawQuestion() {
    const { id, number, text, check } = this.card;
    this.say("");
    this.hints = element("div", { class: "wg-hints", "aria-live": "polite" });
    this.control = element("div", { class: "wg-control" });
    this.saved = element("span", { class: "wg-saved" });
    if (!id) return this.body.replaceChildren();
    const prompt = element("div", { class: "wg-prompt", id: `${this.prefix}-prompt` });
    if (number) prompt.append(element("p", { class: "wg-number" }, number));
    prompt.append(escaped("div", {}, text));
    this.drawControl();
    this.checker = element("button", { type: "button", class: "wg-check", onclick: () => this.check() }, check);
    this.hinter = element("button", { type: "button", onclick: () => this.ask({ do: "hint", id }) }, "Hint");
    const actions = element("div", { class: "wg-actions" }, this.checker, this.hinter, this.saved);
    this.body.replaceChildren(prompt, this.control, actions, this.hints);
    if (this.card.kind === "draw") this.body.append(this.drawComparison());
    this.restore();
  }

  drawControl() {
    const { kind, options, several } = this.card;
    const labelled = { "aria-labelledby": `${this.prefix}-prompt`, oninput: () => this.typed() };
    const hint = { "aria-describedby": `${this.prefix}-keys` };
    const box = { ...labelled, ...hint, spellcheck: "true", class: "wg-box" };
    let keys = "Ctrl-Enter checks";
    if (kind === "choice") {
      const type = several ? "checkbox" : "radio";
      const rows = options.map((option, n) => {
        const input = element("input", { type, name: this.prefix, value: LETTERS[n] });
        return element("label", { class: "wg-option" }, input, escaped("span", {}, option));
      });
      const role = several ? "group" : "radiogroup";
      this.control.append(element("div", { role, ...labelled }, ...rows));
      keys = (several ? "One or several may be right. Space ticks" : "Arrow keys choose") + `, ${keys}`;
    } else if (kind === "task") {
      const input = element("input", { type: "checkbox", ...hint, oninput: () => this.typed() });
      this.control.append(element("label", { class: "wg-option" }, input, element("span", {}, "I have done this")));
    } else if (kind === "number" || kind === "guess") {
      const number = kind === "number" ? { inputmode: "decimal" } : {};
      this.control.append(element("input", { type: "text", ...box, ...number, autocomplete: "off" }));
      keys = `Enter ${kind === "guess" ? "saves" : "checks"}`;
    } else {
      const code = kind === "code" ? { class: "wg-box wg-code", spellcheck: "false" } : {};
      this.control.append(element("textarea", { rows: kind === "code" ? 6 : 4, ...box, ...code }));
    }
    this.control.append(element("p", { class: "wg-keys", id: `${this.prefix}-keys` }, keys));
  }

  drawComparison() {
    const words = [["same", "Mine is the same"], ["close", "Close"], ["different", "Different"]];
    const choices = words.map(([answer, label]) =>
      element("button", { type: "button", onclick: () => this.check(answer) }, label));
    const picture = escaped("div", { hidden: true }, "");
    const show = element("button", { type: "button" }, "I drew it on paper: show our picture");
    const compare = element("div", { class: "wg-actions", role: "group", "aria-label": "Compare", hidden: true }, ...choices);
    show.addEventListener("click", () => {
      picture.innerHTML = this.card.picture; // from html.py
      picture.hidden = compare.hidden = false;
      show.hidden = true;
      choices[0].focus();
    });
    return element("div", { class: "wg-compare" }, show, picture, compare);
  }

  drawHints() {
    if (!this.card.id) return;
    const { hints, more_hints } = this.card;
    for (const hint of hints.slice(this.hints.childElementCount)) this.hints.append(escaped("div", {}, hint));
    this.hinter.hidden = more_hints === 0;
    this.hinter.textContent = hints.length ? "Another hint" : "Hint";
  }

  drawResult(aloud) {
    const { outcome, headline, message, result, overrule, section } = this.card;
    this.result.replaceChildren();
    this.spoken.dataset.outcome = this.result.dataset.outcome = outcome ?? "";
    const line = headline ? [element("b", {}, headline), " ", message] : [];
    // A live region speaks when it changes; emptied first, it also repeats the same verdict.
    this.spoken.setAttribute("aria-live", aloud ? "polite" : "off");
    this.spoken.replaceChildren(...line);
    const compare = this.body.querySelector(".wg-compare");
    if (compare) compare.hidden = result !== ""; // the result has the picture
    if (!outcome) return;
    this.result.append(escaped("div", {}, result));
    const buttons = overrule.map(({ outcome, label }) =>
      element("button", { type: "button", onclick: () => this.ask({ do: "overrule", id: this.card.id, outcome }) }, label));
    if (buttons.length) this.result.append(element("div", { class: "wg-actions" }, ...buttons));
    if (section) this.result.append(element("p", {}, "Taught in ", this.link(section)));
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

  say(sentence) {
    this.alert.textContent = sentence;
  }

  // -- what the learner does ----------------------------------------------------------------------

  key(event) {
    const enter = event.key === "Enter";
    const modified = event.ctrlKey || event.metaKey;
    const oneLine = event.target.matches?.("input[type=text]");
    if (enter && (modified || event.shiftKey || oneLine) && this.card.id) {
      event.preventDefault();
      this.check();
    }
    // Escape leaves the card for its cell, as it leaves a cell's text.
    if (event.key === "Escape") this.body.closest(".jp-Cell")?.focus();
    // JupyterLab would run or delete cells on most keys; only "save" is left to it.
    const save = modified && event.key.toLowerCase() === "s";
    if (!save) event.stopPropagation();
  }

  answer() {
    const inputs = [...this.control.querySelectorAll("textarea, input")];
    if (this.card.kind === "choice") return inputs.filter((i) => i.checked).map((i) => i.value).join(", ");
    if (this.card.kind === "task") return inputs[0].checked ? "✓" : "";
    return inputs[0].value;
  }

  setAnswer(answer) {
    const inputs = [...this.control.querySelectorAll("textarea, input")];
    if (this.card.kind === "choice") {
      const letters = answer.split(", ");
      for (const input of inputs) input.checked = letters.includes(input.value);
    } else if (this.card.kind === "task") inputs[0].checked = answer !== "";
    else inputs[0].value = answer;
  }

  // Text that Python has not acknowledged waits in the browser, in case the kernel is gone.
  stash() {
    return `whole-game:${this.model.get("name")}:${this.card.id}`;
  }

  restore() {
    const unsaved = sessionStorage.getItem(this.stash());
    this.setAnswer(unsaved ?? this.card.answer);
    if (unsaved !== null) this.typed();
  }

  typed() {
    sessionStorage.setItem(this.stash(), this.answer());
    this.saved.textContent = "";
    clearTimeout(this.pause);
    this.pause = setTimeout(() => this.sendDraft(), PAUSE);
    this.unsent = true;
  }

  async sendDraft() {
    clearTimeout(this.pause);
    if (!this.unsent || this.card.kind === "guess") return;
    this.unsent = false;
    const answer = this.answer();
    if (await this.ask({ do: "draft", id: this.card.id, answer })) this.saved.textContent = "Draft kept";
  }

  async check(answer = this.answer()) {
    clearTimeout(this.pause);
    this.unsent = false;
    this.saved.textContent = "Checking …";
    this.spoken.replaceChildren();
    await this.ask({ do: "check", id: this.card.id, answer });
    this.saved.textContent = "";
  }

  open(id) {
    if (id === null) return;
    this.sendDraft();
    this.ask({ do: "open", id });
  }

  choose() {
    this.chosen = this.list.value;
    clearTimeout(this.browsing);
    this.browsing = setTimeout(() => this.open(this.chosen), BROWSE);
  }

  step(by) {
    const neighbour = this.model.get("listing")[this.place() + by];
    this.stepped = true; // the list keeps the focus, so that arrow keys can go on through it
    if (neighbour) this.open(neighbour.id);
  }

  // -- talking to Python --------------------------------------------------------------------------

  async ask(content) {
    const nr = `${this.prefix}-${Math.random()}`;
    const key = this.stash();
    const patience = setTimeout(() => this.say(WAITING), PATIENCE);
    const sentence = await new Promise((resolve) => {
      this.waiting.set(nr, resolve);
      this.model.send({ ...content, nr });
    });
    clearTimeout(patience);
    this.say(sentence);
    const kept = sentence === "" && content.answer !== undefined;
    if (kept && sessionStorage.getItem(key) === content.answer) sessionStorage.removeItem(key);
    return sentence === "";
  }

  heard({ nr, sentence }) {
    this.waiting.get(nr)?.(sentence);
    this.waiting.delete(nr);
  }
}

export default {
  render({ model, el }) {
    const card = new Card(model, el);
    return () => card.close();
  },
};
