// A meter with its number, and a line of the last minute.
"use strict";
const gauge = {
  set(name, value, unit) {
    document.getElementById(name).value = value;
    document.getElementById(name + "-text").textContent = value + unit;
  },
  last: [],
  trace(value) {
    this.last = this.last.concat(value).slice(-60);
    const step = 300 / 59, from = 60 - this.last.length;
    const points = this.last.map((v, i) => ((from + i) * step).toFixed(1) + "," + (66 - v * 0.62).toFixed(1));
    document.getElementById("trace").setAttribute("points", points.join(" "));
  },
};
