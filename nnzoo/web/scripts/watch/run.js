/** What the page of `nnzoo watch` knows of a run, asked from its server. */

/**
 * Ask the server of the page.
 * @param {string} name
 * @param {Object<string, number>} [parameters]
 * @returns {Promise<Object>}
 */
nnzoo.ask = async (name, parameters = {}) => {
  const query = Object.entries(parameters).map(([key, value]) => `${key}=${value}`).join("&");
  const answer = await fetch(query ? `${name}?${query}` : name, {credentials: "omit", cache: "no-store"});
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return answer.json();
};

nnzoo.WatchedRun = class {
  constructor({number, name, group}) {
    this.number = number;
    this.name = name;
    this.group = group;
    this.rows = [];
    this.state = null;
    this.samples = null;
    this.recorded = [];
    this.records = new Map();
    this.frames = new Map();
    this.size = 0;
    this.start = "";
    this.error = "";
    this.damage = "";
    this.isGone = false;
  }

  /** Whether there are recorded weights to replay. */
  get hasFrames() {
    return this.samples !== null && this.recorded.length > 0;
  }

  /** The epochs that the slider stops at. */
  get epochs() {
    return this.hasFrames ? this.recorded : this.rows.map((row) => row.epoch);
  }

  /**
   * Ask for the state and new rows of metrics.
   * @returns {Promise<boolean>} whether there is anything new
   */
  async update() {
    let isNew = false;
    for (;;) {
      const known = this.state ?? {generation: 0};
      const before = this.rows.length;
      const state = await nnzoo.ask("state", {run: this.number, start: before, generation: known.generation});
      this.isGone = Boolean(state.gone);
      if (this.isGone) return false;
      if (state.generation !== known.generation || state.start < before) {
        this.rows = this.rows.slice(0, state.start);
        this.frames.clear();
        isNew = true;
      }
      this.rows.push(...state.rows);
      isNew ||= state.rows.length > 0 || state.state !== known.state;
      this.state = state;
      if (this.rows.length >= state.total || !state.rows.length) return isNew;
    }
  }

  /**
   * Ask for recorded epochs, if more were recorded or are still to be computed.
   * @returns {Promise<boolean>} whether there is anything new
   */
  async updateRecords() {
    const {history: size, history_start: start} = this.state ?? {history: 0, history_start: ""};
    const isAnother = start !== this.start || size < this.size;
    if (isAnother) this.forgetRecords();
    this.start = start;
    if (!size) return isAnother;
    if (size === this.size && this.records.size >= this.recorded.length) return false;
    if (!this.samples) {
      const samples = await nnzoo.ask("samples", {run: this.number});
      this.error = samples.error ?? "";
      this.size = size;
      if (this.error) return true;
      this.samples = samples;
    }
    const missing = this.recorded.find((epoch) => !this.records.has(epoch));
    const newest = this.recorded.length ? this.recorded[this.recorded.length - 1] + 1 : 0;
    const answer = await nnzoo.ask("epochs", {run: this.number, start: missing ?? newest});
    this.error = answer.error ?? "";
    this.size = size;
    if (this.error) return true;
    this.recorded = answer.recorded;
    this.damage = answer.damage ?? "";
    for (const record of answer.known) this.records.set(record.epoch, record);
    for (const epoch of [...this.records.keys()]) {
      if (!this.recorded.includes(epoch)) this.records.delete(epoch);
    }
    return true;
  }

  /** Forget what belongs to a history that has been begun anew, or removed. */
  forgetRecords() {
    this.samples = null;
    this.recorded = [];
    this.records.clear();
    this.frames.clear();
    this.size = 0;
    this.error = this.damage = "";
  }

  /**
   * Ask for the frame of an epoch, with its arrays decoded.
   * @param {number} epoch
   * @param {number} row of the sample that is shown over time
   * @returns {Promise<?Object>}
   */
  async frame(epoch, row) {
    const key = `${epoch} ${row}`, {start} = this;
    if (!this.frames.has(key)) {
      const frame = nnzoo.decoded(await nnzoo.ask("frame", {run: this.number, epoch, row}));
      if (frame.error || start !== this.start) return null;
      this.frames.set(key, frame);
      if (this.frames.size > 60) this.frames.delete(this.frames.keys().next().value);
    }
    return this.frames.get(key);
  }

  /** The name of a sample, with what is true of it. */
  sampleName(index) {
    const {names, truth, task, labels} = this.samples;
    if (truth[index] === null) return names[index];
    const text = task === "classification" ? labels[truth[index]] ?? `class ${truth[index]}` : nnzoo.number(truth[index]);
    return task === "multilabel" ? names[index] : `${names[index]} (${text})`;
  }
};

/** Decode every array in an answer. */
nnzoo.decoded = (value) => {
  if (value === null || typeof value !== "object") return value;
  if (typeof value.values === "string" && Array.isArray(value.shape)) return nnzoo.array(value);
  if (Array.isArray(value)) return value.map(nnzoo.decoded);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, nnzoo.decoded(item)]));
};
