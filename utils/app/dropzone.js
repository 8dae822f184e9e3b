// The browser's half of dropzone.py: takes pictures, sends them one after another, draws answers.
// Everything a visitor or the server says becomes text nodes, never markup.

const CHUNK = 1 << 20; // bytes sent at once; the next follows when Python has them
const UNREADABLE = "This file cannot be read in the browser. If it is a folder, choose the pictures in it.";

const percent = (p) => (p > 0 && p < 0.0005 ? "< 0.1%" : `${(100 * p).toFixed(1)}%`);
const count = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

class DropZone extends View {
  constructor(model, el) {
    super(model, el, "dz");
    this.patience = 30_000;
    this.slow =
      "There is no answer yet. The server may be busy, or this page may have lost it: " +
      "if nothing comes, reload the page and send the pictures again.";
    this.cutOff = "This page has lost its server: reload it. In a notebook: run this cell again (Shift-Enter).";
    this.queue = Promise.resolve();
    this.sent = this.done = this.refused = 0;
    const megabytes = model.get("max_bytes") / 1e6;
    const hint = element("p", { id: this.id, class: "wg-quiet" }, `Several at once, up to ${megabytes} MB each.`);
    this.input = element("input", { type: "file", multiple: true, accept: "image/*", "aria-describedby": this.id });
    this.label = element("label", { class: "dz-zone" },
      element("span", { class: "dz-title" }, "Choose pictures"), "or drop them here", this.input);
    this.summary = element("p");
    this.answers = element("div");
    this.root.append(this.label, hint, this.summary, this.alert, this.spoken, this.answers);
    this.input.addEventListener("change", () => {
      this.take(this.input.files);
      this.input.value = ""; // so that the same file can be chosen again
    });
    // On a page that is only the app, a picture dropped beside the zone must not replace the page.
    const area = document.body.dataset.voila ? document.body : this.label;
    for (const type of ["dragover", "dragleave", "drop"])
      area.addEventListener(type, (event) => this.drag(event), { signal: this.closed });
  }

  drag(event) {
    const { types, files } = event.dataTransfer;
    this.label.classList.toggle("dz-over", event.type === "dragover" && types.includes("Files"));
    if (types.includes("Files")) event.preventDefault();
    if (event.type === "drop" && files.length) this.take(files);
  }

  // Pictures, one after another.
  take(files) {
    const list = element("ol", { class: "dz-list" });
    this.answers.prepend(list);
    for (const file of [...files]) {
      const item = element("li", { class: "dz-item" });
      this.draw(item, file, { sentence: "Waiting …" });
      list.append(item);
      this.sent += 1;
      this.queue = this.queue.then(() => this.answer(file, item));
    }
    this.report();
  }

  async answer(file, item) {
    this.draw(item, file, { sentence: "Looking …" });
    const reply = await this.send(file, item);
    const { outcome = "refused", sentence = reply.problem } = reply;
    this.draw(item, file, { ...reply, outcome, sentence });
    this.done += 1;
    this.refused += outcome === "refused";
    this.report();
    this.spoken.textContent = `${file.name}: ${sentence}`;
  }

  async send(file, item) {
    const question = { do: "take", view: this.id, name: file.name, size: file.size };
    // Python refuses by its size what is too large, so that none of it needs to be sent.
    const chunk = file.size > this.model.get("max_bytes") ? 0 : CHUNK;
    let reply = { more: true };
    for (let start = 0; reply.more; start += chunk) {
      let part;
      try {
        part = await file.slice(start, start + chunk).arrayBuffer();
      } catch {
        return { sentence: UNREADABLE };
      }
      if (file.size > CHUNK) this.draw(item, file, { sentence: `Sending: ${Math.round((100 * start) / file.size)}%` });
      reply = await this.ask({ ...question, start }, { buffers: [part] });
    }
    return reply;
  }

  // What there is to see.
  report() {
    const { sent, done, refused } = this;
    this.summary.textContent = done < sent
      ? `Looking at picture ${done + 1} of ${sent} …`
      : `${count(done - refused, "picture")} answered` + (refused ? `, ${count(refused, "file")} refused.` : ".");
    this.root.dataset.idle = done === sent;
  }

  draw(item, file, { outcome = "waiting", sentence, remarks = [], bars = [], buffers = [] }) {
    item.dataset.outcome = outcome;
    const text = element("div", { class: "dz-text" },
      element("p", { class: "wg-quiet" }, file.name),
      element("p", { class: "dz-sentence" }, sentence),
      ...remarks.map((remark) => element("p", { class: "wg-quiet" }, remark)));
    if (bars.length) text.append(this.drawBars(bars, outcome));
    const pictures = buffers.map((buffer) => {
      const src = URL.createObjectURL(new Blob([buffer], { type: "image/jpeg" }));
      const free = () => URL.revokeObjectURL(src);
      return element("img", { class: "dz-picture", alt: `Your picture ${file.name}`, src, onload: free });
    });
    item.replaceChildren(...pictures, text);
  }

  drawBars(bars, outcome) {
    const caption = outcome === "foreign" ? "If it had to be one of these:" : "Probabilities";
    const most = Math.max(...bars.map(([, p]) => p));
    const rows = bars.map(([label, p]) =>
      element("tr", { class: p === most ? "dz-best" : "" },
        element("th", { scope: "row" }, label),
        element("td", { class: "dz-track", "aria-hidden": "true" }, element("span", {},
          element("b", { style: `width: ${100 * p}%` }))),
        element("td", { class: "dz-number" }, percent(p))));
    return element("table", { class: "dz-bars" }, element("caption", {}, caption), element("tbody", {}, ...rows));
  }
}

export default widget(DropZone);
