// The browser's half of dropzone.py: takes pictures, sends them one after another, draws answers.
// Everything a visitor or the server says becomes text nodes, never markup.

const UNREADABLE = "This file cannot be read in the browser. If it is a folder, choose the pictures in it.";

const percent = (p) => (p > 0 && p < 0.0005 ? "< 0.1%" : `${(100 * p).toFixed(1)}%`);

class DropZone extends View {
  constructor(model, el) {
    super(model, el, "dz");
    this.patience = 30_000;
    this.slow =
      "There is no answer yet. The server may be busy, or this page may have lost it: " +
      "if nothing comes, reload the page and send the pictures again.";
    this.cutOff = "This page has lost its server: reload it. In a notebook: run this cell again (Shift-Enter).";
    this.queue = Promise.resolve();
    const hint = element("p", { id: this.id, class: "wg-quiet" }, `Several at once, up to ${model.get("megabytes")} MB each.`);
    const input = element("input", { type: "file", multiple: true, accept: "image/*", "aria-describedby": this.id });
    this.label = element("label", { class: "dz-zone" },
      element("span", { class: "dz-title" }, "Choose pictures"), "or drop them here", input);
    this.answers = element("div");
    this.root.append(this.label, hint, this.alert, this.spoken, this.answers);
    input.addEventListener("change", () => {
      this.take(input.files);
      input.value = ""; // so that the same file can be chosen again
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

  take(files) {
    const list = element("ol", { class: "dz-list" });
    this.answers.prepend(list);
    for (const file of [...files]) {
      const item = element("li", { class: "dz-item" });
      this.draw(item, file, { sentence: "Waiting …" });
      list.append(item);
      this.queue = this.queue.then(() => this.answer(file, item));
    }
  }

  async answer(file, item) {
    this.draw(item, file, { sentence: "Looking …" });
    const reply = await this.send(file);
    const { outcome = "refused", sentence = reply.problem } = reply;
    this.draw(item, file, { ...reply, outcome, sentence });
    this.spoken.textContent = `${file.name}: ${sentence}`;
  }

  async send(file) {
    const { name, size } = file; // of a file that is too large Python hears this only, and says so
    const part = size > this.model.get("megabytes") * 1e6 ? new Blob() : file;
    const content = await part.arrayBuffer().catch(() => null);
    if (!content) return { sentence: UNREADABLE };
    return this.ask({ do: "take", name, size }, { buffers: [content] });
  }

  draw(item, file, { outcome = "waiting", sentence, remarks = [], bars = [] }) {
    item.dataset.outcome = outcome;
    const text = element("div", { class: "dz-text" },
      element("p", { class: "wg-quiet" }, file.name),
      element("p", { class: "dz-sentence" }, sentence),
      ...remarks.map((remark) => element("p", { class: "wg-quiet" }, remark)));
    item.replaceChildren(text);
    if (!bars.length) return;
    text.append(this.drawBars(bars, outcome));
    const src = URL.createObjectURL(file);
    const free = () => URL.revokeObjectURL(src);
    const picture = element("img", { class: "dz-picture", alt: `Your picture ${file.name}`, src, onload: free });
    picture.onerror = () => (free(), picture.remove()); // most browsers draw no TIFF
    item.prepend(picture);
  }

  drawBars(bars, outcome) {
    const caption = outcome === "foreign" ? "If it had to be one of these:" : "Probabilities";
    const most = Math.max(...bars.map(([, p]) => p));
    const rows = bars.map(([label, p]) =>
      element("tr", { class: p === most ? "dz-best" : "" },
        element("th", { scope: "row" }, label),
        element("td", { class: "dz-track", "aria-hidden": "true" }, element("b", { style: `width: ${100 * p}%` })),
        element("td", { class: "dz-number" }, percent(p))));
    return element("table", { class: "dz-bars" }, element("caption", {}, caption), element("tbody", {}, ...rows));
  }
}

export default widget(DropZone);
