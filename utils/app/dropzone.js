// The browser's half of dropzone.py: takes pictures, sends them one after another, draws answers.
// Everything a visitor or the server says becomes text nodes, never markup.

const CHUNK = 1 << 20; // bytes sent at once; the next follows when Python has them
const PATIENCE = 30_000; // ms without an answer before that is said
const WAITING =
  "There is no answer yet. The server may be busy, or this page may have lost it: " +
  "if nothing comes, reload the page and send the pictures again.";
const UNREADABLE = "This file cannot be read in the browser. If it is a folder, choose the pictures in it.";

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const percent = (p) => (p > 0 && p < 0.0005 ? "< 0.1%" : `${(100 * p).toFixed(1)}%`);
const count = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

class DropZone {
  constructor(model, el) {
    this.model = model;
    this.view = crypto.getRandomValues(new Uint32Array(2)).join("-"); // a widget may be shown twice
    this.waiting = new Map();
    this.asked = 0;
    this.queue = Promise.resolve();
    this.sent = this.done = this.refused = 0;
    this.build(el);
    this.listen();
  }

  build(el) {
    const hint = `dz-${this.view}`;
    this.input = element("input", { type: "file", multiple: true, accept: "image/*", "aria-describedby": hint });
    this.label = element("label", { className: "dz-zone" },
      element("span", { className: "dz-title" }, "Choose pictures"),
      element("span", {}, "or drop them here"),
      this.input);
    const megabytes = this.model.get("max_bytes") / 1e6;
    this.progress = element("progress", { max: 1, value: 0 });
    this.state = element("label", { className: "dz-state", hidden: true }, element("span"), this.progress);
    this.spoken = element("p", { className: "dz-spoken", role: "status" });
    this.alert = element("p", { className: "dz-alert", role: "alert" });
    this.answers = element("div", { className: "dz-answers" });
    this.root = element("div", { className: "dz" },
      this.label,
      element("p", { className: "dz-hint", id: hint }, `Several at once, up to ${megabytes} MB each.`),
      this.state, this.alert, this.spoken, this.answers);
    el.append(this.root);
  }

  listen() {
    this.input.addEventListener("change", () => {
      this.take(this.input.files);
      this.input.value = ""; // so that the same file can be chosen again
    });
    // On a page that is only the app, a picture dropped beside the zone must not replace the page.
    const area = document.body.dataset.voila ? document.body : this.label;
    this.stop = new AbortController();
    const on = (type, heard) => area.addEventListener(type, heard, { signal: this.stop.signal });
    const over = (is) => this.label.classList.toggle("dz-over", is);
    on("dragover", (event) => {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      over(true);
    });
    on("dragleave", () => over(false));
    on("drop", (event) => {
      if (!event.dataTransfer.files.length) return;
      event.preventDefault();
      over(false);
      this.take(event.dataTransfer.files);
    });
    // JupyterLab has commands on most keys; here they choose pictures.
    this.root.addEventListener("keydown", (event) => event.stopPropagation());
    this.heard = (reply, buffers) => {
      this.waiting.get(reply.view === this.view && reply.nr)?.({ ...reply, buffers });
    };
    this.model.on("msg:custom", this.heard);
  }

  close() {
    this.stop.abort();
    this.model.off("msg:custom", this.heard);
  }

  // -- pictures, one after another ----------------------------------------------------------------

  take(files) {
    const list = element("ol", { className: "dz-list" });
    this.answers.prepend(list);
    for (const file of [...files]) {
      const item = element("li", { className: "dz-item" });
      this.draw(item, file, { outcome: "waiting", sentence: "Waiting …" });
      list.append(item);
      this.sent += 1;
      this.queue = this.queue.then(() => this.answer(file, item));
    }
    this.count();
  }

  async answer(file, item) {
    const show = (sentence) => this.draw(item, file, { outcome: "waiting", sentence });
    show("Looking …");
    const reply = await this.send(file, show);
    this.draw(item, file, reply);
    this.done += 1;
    this.refused += reply.outcome === "refused";
    this.count();
    this.spoken.textContent = `${file.name}: ${reply.sentence}`;
  }

  async send(file, show) {
    const whole = { name: file.name, size: file.size };
    // Python refuses by its size what is too large, so that none of it needs to be sent.
    if (file.size > this.model.get("max_bytes")) return this.ask({ ...whole, start: 0 }, []);
    let reply;
    for (let start = 0; !reply || reply.more; start += CHUNK) {
      let part;
      try {
        part = await file.slice(start, start + CHUNK).arrayBuffer();
      } catch {
        return { outcome: "refused", sentence: UNREADABLE };
      }
      if (file.size > CHUNK) show(`Sending: ${Math.round((100 * start) / file.size)}%`);
      reply = await this.ask({ ...whole, start }, [part]);
    }
    return reply;
  }

  async ask(content, buffers) {
    const nr = ++this.asked;
    const patience = setTimeout(() => (this.alert.textContent = WAITING), PATIENCE);
    const reply = await new Promise((resolve) => {
      this.waiting.set(nr, resolve);
      this.model.send({ ...content, view: this.view, nr }, undefined, buffers);
    });
    clearTimeout(patience);
    this.waiting.delete(nr);
    this.alert.textContent = "";
    return reply;
  }

  // -- drawing --------------------------------------------------------------------------------------

  count() {
    const { sent, done, refused } = this;
    const text = done < sent
      ? `Looking at picture ${done + 1} of ${sent} …`
      : `${count(done - refused, "picture")} answered` + (refused ? `, ${count(refused, "file")} refused.` : ".");
    this.state.hidden = false;
    this.state.firstChild.textContent = text;
    this.progress.hidden = done === sent;
    this.progress.max = sent;
    this.progress.value = done;
    this.root.dataset.idle = done === sent;
  }

  draw(item, file, { outcome, sentence, remarks = [], bars = [], buffers = [] }) {
    item.dataset.outcome = outcome;
    const text = element("div", { className: "dz-text" },
      element("p", { className: "dz-name" }, file.name),
      element("p", { className: "dz-sentence" }, sentence));
    for (const remark of remarks) text.append(element("p", { className: "dz-remark" }, remark));
    if (bars.length) text.append(this.drawBars(bars, outcome));
    item.replaceChildren(...buffers.map((buffer) => this.drawPicture(buffer, file)), text);
  }

  drawPicture(buffer, file) {
    const source = URL.createObjectURL(new Blob([buffer], { type: "image/jpeg" }));
    const picture = element("img", { className: "dz-picture", alt: `Your picture ${file.name}` });
    picture.addEventListener("load", () => URL.revokeObjectURL(source));
    picture.src = source;
    return picture;
  }

  drawBars(bars, outcome) {
    const caption = outcome === "foreign" ? "If it had to be one of these:" : "Probabilities";
    const rows = bars.map(([label, p]) => {
      const bar = element("span", { className: "dz-bar" });
      bar.style.width = `${100 * p}%`;
      return element("tr", {},
        element("th", { scope: "row" }, label),
        element("td", { className: "dz-track", "aria-hidden": "true" }, element("span", {}, bar)),
        element("td", { className: "dz-number" }, percent(p)));
    });
    const best = bars.reduce((best, [, p], at) => (p > bars[best][1] ? at : best), 0);
    rows[best].className = "dz-best";
    return element("table", { className: "dz-bars" }, element("caption", {}, caption), element("tbody", {}, ...rows));
  }
}

export default {
  render({ model, el }) {
    const zone = new DropZone(model, el);
    return () => zone.close();
  },
};
