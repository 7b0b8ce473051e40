/** The page of `nnzoo watch`: which runs are shown, the player, and when the server is asked. */
nnzoo.Page = class {
  constructor() {
    const ids = ["folder", "lost", "notes", "runs", "runList", "status", "bar", "warnings", "player", "slider", "play", "live", "epoch", "curves", "inside"];
    ids.push("frames", "why", "sheet", "layers", "layersSection", "gates", "gatesSection", "rows", "boundary", "boundarySection", "boundaryTitle");
    ids.push("predictions", "predictionsSection", "text", "samplesTitle", "sheetSection", "cut");
    this.at = Object.fromEntries(ids.map((id) => [id, document.getElementById(id)]));
    this.runs = new Map();
    this.main = null;
    this.overlaid = new Set();
    this.epoch = null;
    this.isLive = true;
    this.isPlaying = false;
    this.row = 0;
    this.listed = 0;
    this.failures = 0;
    this.asked = 0;
    this.curves = new nnzoo.Curves(this.at.curves, this.at.inside);
    this.samples = new nnzoo.SampleView(this.at, (row) => {
      this.row = row;
      this.drawFrame();
    });
    this.predictions = new nnzoo.PredictionChart(this.at.predictions, () => this.drawFrame());
    this.boundary = new nnzoo.Boundary((index) => this.predictions.toggle(index));
    this.at.boundary.append(this.boundary.element);
    this.listen();
  }

  listen() {
    const {slider, play, live} = this.at;
    slider.addEventListener("input", () => this.stopAt(Number(slider.value)));
    play.addEventListener("click", () => this.play(!this.isPlaying));
    live.addEventListener("click", () => this.follow());
    document.addEventListener("keydown", (event) => this.press(event));
    document.addEventListener("visibilitychange", () => document.hidden || this.tick());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Arrow keys move through the epochs, the space bar plays, wherever nothing else uses them. */
  press(event) {
    if (event.target !== document.body || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (step) this.stopAt(Number(this.at.slider.value) + step);
    else if (event.key === " ") this.play(!this.isPlaying);
    else return;
    event.preventDefault();
  }

  /** Ask the server, draw what is new, and ask again later; not while the page is hidden. */
  async tick() {
    clearTimeout(this.timer);
    if (document.hidden || this.isAsking) return;
    this.isAsking = true;
    const start = performance.now();
    try {
      await this.update();
      this.failures = 0;
    } catch {
      this.failures += 1;
    }
    this.isAsking = false;
    this.asked += 1;
    this.at.lost.hidden = this.failures < 2;
    const isTraining = this.shown().some((run) => run.state?.state === "training");
    const isBehind = this.main?.records.size < this.main?.recorded.length && !this.main.error;
    const taken = performance.now() - start;
    const wait = this.failures ? 4000 : isTraining ? nnzoo.pauseBeside(taken, isBehind) : isBehind ? 30 : 3000;
    this.timer = setTimeout(() => this.tick(), wait);
  }

  async update() {
    if (Date.now() - this.listed > 4000) {
      await this.updateList();
      this.listed = Date.now();
    }
    const main = this.main;
    let isNew = false;
    for (const run of this.shown()) isNew = (await run.update()) || isNew;
    if (main && !main.isGone) isNew = (await main.updateRecords()) || isNew;
    if (main?.isGone) this.listed = 0;
    if (main !== this.main || main?.isGone) return;
    this.drawStatus();
    if (isNew || !this.isDrawn) await this.draw();
  }

  async updateList() {
    const {folder, runs, newest, notes} = await nnzoo.ask("runs");
    this.at.folder.textContent = folder;
    this.at.notes.textContent = notes.join("; ");
    const known = new Set(runs.map((run) => run.number));
    for (const number of [...this.runs.keys()]) if (!known.has(number)) this.runs.delete(number);
    for (const run of runs) if (!this.runs.has(run.number)) this.runs.set(run.number, new nnzoo.WatchedRun(run));
    if (this.main && !known.has(this.main.number)) this.leave();
    if (!this.main && newest !== null) this.choose(this.runs.get(newest));
    this.drawList(runs);
  }

  /** The runs whose curves are shown, the one that is replayed first. */
  shown() {
    const others = [...this.overlaid].map((number) => this.runs.get(number)).filter((run) => run && run !== this.main);
    return this.main ? [this.main, ...others] : [];
  }

  /** Replay a run; the members of its group are laid over it. */
  choose(run) {
    this.main = run;
    this.overlaid = new Set(run.group ? [...this.runs.values()].filter((r) => r.group === run.group).slice(0, 12).map((r) => r.number) : []);
    this.epoch = null;
    this.frame = null;
    this.isLive = true;
    this.row = 0;
    this.isDrawn = false;
    this.play(false);
  }

  /** Show that the run is gone, until there is another one. */
  leave() {
    const {player, frames, bar, status, warnings, why} = this.at;
    this.play(false);
    this.main = this.frame = null;
    for (const part of [player, frames, bar]) part.hidden = true;
    status.replaceChildren(nnzoo.element("li", {}, "The run folder is gone. Waiting for a run …"));
    warnings.replaceChildren();
    this.warningsText = why.textContent = "";
    this.curves.clear();
  }

  drawList(runs) {
    this.at.runs.hidden = runs.length < 2;
    const items = runs.map((listed) => {
      const run = this.runs.get(listed.number);
      const isMain = run === this.main;
      const box = nnzoo.element("input", {type: "checkbox", "aria-label": `curves of ${listed.name}`});
      box.checked = isMain || this.overlaid.has(run.number);
      box.disabled = isMain;
      box.addEventListener("change", () => {
        if (box.checked) this.overlaid.add(run.number);
        else this.overlaid.delete(run.number);
        this.isDrawn = false;
        this.tick();
      });
      const button = nnzoo.element("button", {type: "button", class: "small", "aria-pressed": String(isMain)}, listed.name);
      button.addEventListener("click", () => {
        this.choose(run);
        this.drawList(runs);
        this.tick();
      });
      const what = [listed.model, listed.data, listed.state].filter(Boolean).join(", ");
      return nnzoo.element("li", {}, box, button, nnzoo.element("span", {class: "soft"}, what));
    });
    this.at.runList.replaceChildren(...items);
  }

  /** Draw everything, the frame's pictures when they are there. */
  async draw() {
    const main = this.main;
    if (!main?.state) return;
    this.isDrawn = true;
    const {epochs} = main;
    const last = epochs.length - 1;
    if (this.isLive || this.epoch === null || !epochs.includes(this.epoch)) this.epoch = epochs[last] ?? null;
    this.at.player.hidden = last < 0;
    this.at.slider.max = String(Math.max(last, 0));
    this.at.slider.value = String(epochs.indexOf(this.epoch));
    this.curves.show(this.shown());
    this.at.frames.hidden = !main.hasFrames;
    this.at.why.textContent = main.hasFrames ? main.damage : this.whyNoFrames();
    this.showEpoch();
    await this.drawFrame();
  }

  whyNoFrames() {
    const {main} = this;
    if (main.error && main.error !== "no history") return `What the network does cannot be shown: ${main.error}`;
    if (main.state.history) return "The network is being loaded …";
    return "This run has recorded no weights over its epochs, so that only its curves can be shown (train.history; runs of older versions, groups and sweeps have none).";
  }

  drawStatus() {
    const {state} = this.main ?? {};
    if (!state) return;
    const {parts, share} = nnzoo.describeState(state);
    this.at.status.replaceChildren(...parts.map((text) => nnzoo.element("li", {}, text)));
    this.at.bar.hidden = share === null;
    if (share !== null) this.at.bar.value = share;
    const warnings = state.warnings.map(({epoch, code, message, kind}) => {
      const mark = nnzoo.element("b", {}, code ?? kind ?? "");
      const more = code ? nnzoo.element("span", {class: "soft"}, ` nnzoo explain ${code}`) : "";
      return nnzoo.element("p", {class: "remark"}, `Epoch ${epoch} `, mark, ` ${message ?? ""}`, more);
    });
    const text = JSON.stringify(state.warnings);
    if (text !== this.warningsText) this.at.warnings.replaceChildren(...warnings);
    this.warningsText = text;
  }

  /** Show the epoch at a place of the slider. */
  stopAt(place) {
    const epochs = this.main?.epochs ?? [];
    if (!epochs.length) return;
    const last = epochs.length - 1;
    const at = Math.min(Math.max(place, 0), last);
    this.epoch = epochs[at];
    this.isLive = at === last;
    this.at.slider.value = String(at);
    this.showEpoch();
    this.drawFrame();
  }

  follow() {
    this.play(false);
    this.stopAt(Infinity);
  }

  showEpoch() {
    const epochs = this.main.epochs;
    const total = this.main.state.config.epochs;
    const text = this.epoch === 0 ? "epoch 0: before the first step" : `epoch ${this.epoch}${total ? ` of ${total}` : ""}`;
    this.at.epoch.textContent = text;
    this.at.slider.setAttribute("aria-valuetext", text);
    this.at.live.setAttribute("aria-pressed", String(this.isLive));
    this.curves.mark(this.isLive && this.epoch === epochs[epochs.length - 1] ? null : this.epoch);
  }

  /** Ask for the frame of the epoch and draw it, unless another one is wanted by then. */
  async drawFrame() {
    const {main, epoch, row} = this;
    if (!main?.hasFrames || epoch === null) return;
    const wanted = (this.wanted = `${main.number} ${epoch} ${row}`);
    const frame = await main.frame(epoch, row).catch(() => null);
    if (wanted !== this.wanted || !frame) return;
    this.frame = frame;
    this.at.samplesTitle.textContent = `Samples of the ${main.samples.split === "val" ? "validation" : "training"} rows`;
    this.samples.show(main, frame);
    const isText = main.samples.task === "language_model";
    this.at.predictionsSection.hidden = isText;
    if (!isText) {
      this.predictions.show(main);
      this.predictions.chart.mark(this.isLive ? null : epoch);
    }
    this.at.boundarySection.hidden = !frame.boundary;
    if (frame.boundary) {
      if (this.boundary.samples !== main.samples) {
        main.samples.plane.points = nnzoo.decoded(main.samples.plane.points);
        this.boundary.setSamples(main.samples);
        this.at.boundaryTitle.textContent = this.boundary.isClasses ? "Decision boundary" : "Predicted values";
      }
      this.boundary.set(frame.boundary, main.records.get(epoch), this.predictions.chosen);
    }
  }

  /** Go through the epochs, from the first one again after the last. */
  async play(isPlaying) {
    this.isPlaying = isPlaying;
    this.at.play.textContent = isPlaying ? "pause" : "play";
    this.at.play.setAttribute("aria-pressed", String(isPlaying));
    const turn = (this.turn = (this.turn ?? 0) + 1);
    if (!isPlaying) return;
    const pause = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1500 : 400;
    const last = () => (this.main?.epochs.length ?? 0) - 1;
    if (Number(this.at.slider.value) >= last()) this.stopAt(0);
    while (turn === this.turn && Number(this.at.slider.value) < last()) {
      const next = this.main.epochs[Number(this.at.slider.value) + 1];
      const [wait] = [new Promise((resolve) => setTimeout(resolve, pause))];
      if (this.main.hasFrames) await this.main.frame(next, this.row).catch(() => null);
      await wait;
      if (turn === this.turn) this.stopAt(Number(this.at.slider.value) + 1);
    }
    if (turn === this.turn) this.play(false);
  }
};

/**
 * Return the milliseconds until the next question beside a training, which would be slowed by many: fifty times what the
 * last one took to be answered and drawn, within bounds.
 * @param {number} taken
 * @param {boolean} isBehind whether recorded epochs are still to be computed
 * @returns {number}
 */
nnzoo.pauseBeside = (taken, isBehind) => Math.min(Math.max(50 * taken, isBehind ? 200 : 1000), 5000);

/**
 * Say how far a run is.
 * @param {Object} state
 * @returns {{parts: string[], share: ?number}} share: of the steps that are done
 */
nnzoo.describeState = (state) => {
  const {config, progress, result} = state;
  const total = config.epochs ? ` of ${config.epochs}` : "";
  const parts = [];
  let share = null;
  if (state.state === "training") {
    const isCurrent = progress !== null && progress.epoch > state.epoch; // else the epoch's end is newer
    const done = isCurrent ? progress.step / progress.steps : state.epoch / config.epochs;
    share = Number.isFinite(done) ? Math.min(done, 1) : null;
    const step = isCurrent ? `, step ${progress.step_in_epoch} of ${progress.steps_per_epoch}` : "";
    parts.push(`training: epoch ${Math.min(state.epoch + 1, config.epochs ?? Infinity)}${total}${step}`);
    if (state.left !== null) parts.push(`${config.stops_early ? "at most " : ""}${nnzoo.duration(state.left)} left`);
    if (state.news > 20) parts.push(`no news for ${nnzoo.duration(state.news)}`);
  } else {
    const age = state.news === null ? "" : `, ${nnzoo.duration(state.news)} ago`;
    const words = {interrupted: `interrupted: no process trains; no news for ${nnzoo.duration(state.news ?? 0)}`};
    parts.push(words[state.state] ?? `${state.state}${age}`, `epoch ${state.epoch}${total}`);
  }
  if (result.best?.epoch) parts.push(`best epoch ${result.best.epoch}`);
  const known = Object.entries(result.test ?? {}).filter(([key]) => nnzoo.METRICS.includes(key));
  for (const [key, value] of known.slice(0, 1)) parts.push(`test ${nnzoo.title(key).replace(/^[A-Z](?=[a-z])/, (c) => c.toLowerCase())} ${nnzoo.number(value)}`);
  if (state.bad) parts.push(`${state.bad} lines of metrics.jsonl cannot be read`);
  return {parts, share};
};

/** Write seconds as a time. */
nnzoo.duration = (seconds) => {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} days`;
};

nnzoo.page = new nnzoo.Page();
nnzoo.page.tick();
