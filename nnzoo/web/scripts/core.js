"use strict";
/** Everything that the scripts of a page share. `nnzoo.data` is the page's JSON block. */
const nnzoo = {
  data: JSON.parse(document.getElementById("data").textContent),

  /**
   * Create an element. Text is set as text, so names from files are never read as HTML.
   * @param {string} tag
   * @param {Object<string, string>} [attributes]
   * @param {...(Node|string)} children
   * @returns {HTMLElement}
   */
  element(tag, attributes = {}, ...children) {
    const created = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, value);
    created.append(...children);
    return created;
  },

  /**
   * Format a number as the tables of a page do: four significant digits.
   * @param {?number} value
   * @returns {string}
   */
  number(value) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (Number.isInteger(value)) return String(value);
    return String(Number(value.toPrecision(4)));
  },

  /**
   * Decode an array that Python wrote with `encode_array`.
   * @param {{type: string, shape: number[], values: string}} encoded
   * @returns {{shape: number[], values: Float32Array|Float64Array|Uint8Array|Int32Array}}
   */
  array(encoded) {
    const bytes = Uint8Array.from(atob(encoded.values), (char) => char.charCodeAt(0));
    const types = {float32: Float32Array, float64: Float64Array, uint8: Uint8Array, int32: Int32Array};
    return {shape: encoded.shape, values: new types[encoded.type](bytes.buffer)};
  },
};
// Parts that only a script can use are hidden until there is one.
document.documentElement.classList.add("script");
