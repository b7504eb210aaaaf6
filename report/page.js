'use strict';
(() => {
  // What Go knows: the runs with the time spent on them, and the charts.
  const data = JSON.parse(document.getElementById('data').textContent);
  // What the reader has chosen. The window from–to is in units of the x axis; null is the whole range.
  const view = {hidden: new Set(), over: 'images', smooth: 0, window: null};
  const byId = id => document.getElementById(id);
  const svgNS = document.querySelector('svg')?.namespaceURI; // without one there is nothing to draw

  // element makes an SVG element with attributes and children.
  function element(name, attributes = {}, ...children) {
    const e = document.createElementNS(svgNS, name);
    for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
    e.append(...children);
    return e;
  }

  // html makes an HTML element with a class and children; text children are never markup.
  function html(name, className, ...children) {
    const e = document.createElement(name);
    e.className = className;
    e.append(...children);
    return e;
  }

  // ---- numbers in words ----

  const trim = (v, digits) => String(Number(v.toPrecision(digits)));
  const whole = v => Math.round(v).toLocaleString('en-US');

  function short(v) {
    const a = Math.abs(v);
    if (a >= 1e9 || a > 0 && a < 1e-4) return v.toExponential(Math.abs(v / 10 ** Math.floor(Math.log10(a)) - 1) < 1e-9 ? 0 : 2);
    if (a >= 1e6) return trim(v / 1e6, 3 + (a >= 1e7)) + 'M';
    if (a >= 1e4) return trim(v / 1e3, 3 + (a >= 1e5)) + 'k';
    return trim(v, 4);
  }

  // timeUnit is what the ends of a stretch of seconds are best said in.
  function timeUnit(seconds) {
    if (seconds < 120) return [1, 's'];
    if (seconds < 7200) return [60, 'min'];
    if (seconds < 259200) return [3600, 'h'];
    return [86400, 'd'];
  }

  // ---- scales ----

  // scale maps lo..hi onto from..to.
  function scale(lo, hi, from, to, log) {
    const f = log ? Math.log : v => v;
    const inverse = log ? Math.exp : v => v;
    const span = f(hi) - f(lo);
    const at = v => from + (to - from) * (f(v) - f(lo)) / span;
    return {lo, hi, at, log, value: p => inverse(f(lo) + span * (p - from) / (to - from))};
  }

  // ticks are about n round values within a scale: on a logarithmic one 1, 2 and 5 of each decade, or powers of ten;
  // where that gives too few, the round ones of a linear scale.
  function ticks(s, n) {
    const inside = v => v >= s.lo * (s.lo < 0 ? 1 + 1e-9 : 1 - 1e-9) && v <= s.hi * (1 + 1e-9);
    if (s.log) {
      const decades = Math.log10(s.hi / s.lo), values = [];
      const skip = Math.max(1, Math.ceil(decades / n));
      for (let e = Math.floor(Math.log10(s.lo)); e <= Math.log10(s.hi); e += skip) {
        for (const digit of decades < 2.5 ? [1, 2, 5] : [1]) values.push(Number(`${digit}e${e}`));
      }
      if (values.filter(inside).length >= 3 || decades > 1.5) return values.filter(inside);
    }
    const rough = (s.hi - s.lo) / n, unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 2.5, 5, 10].find(f => rough <= f * unit * (1 + 1e-9));
    const values = [];
    for (let i = Math.ceil(s.lo / step - 1e-9); i * step <= s.hi * (1 + 1e-9) && values.length < 50; i++) values.push(i * step);
    return values;
  }

  // ---- series ----

  // secondsAt tells when a run had shown so many images.
  function secondsAt(run, images) {
    const {images: x, seconds: s} = run;
    const i = firstFrom(x, images);
    if (i >= x.length) return s[s.length - 1];
    const [x0, s0] = i ? [x[i - 1], s[i - 1]] : [0, 0];
    return x[i] === x0 ? s[i] : s0 + (s[i] - s0) * (images - x0) / (x[i] - x0);
  }

  // firstFrom finds the first of sorted numbers that is at least v.
  function firstFrom(sorted, v) {
    let lo = 0, hi = sorted.length;
    while (lo < hi) {
      const middle = (lo + hi) >> 1;
      if (sorted[middle] < v) lo = middle + 1; else hi = middle;
    }
    return lo;
  }

  // nearest finds the place of the number nearest to v.
  function nearest(sorted, v) {
    const i = firstFrom(sorted, v);
    if (i === 0) return 0;
    return i === sorted.length || v - sorted[i - 1] < sorted[i] - v ? i - 1 : i;
  }

  // smooth is an exponential moving average without the pull of its start.
  function smooth(y, beta) {
    let sum = 0, weight = 0;
    return y.map(v => {
      sum = beta * sum + (1 - beta) * v;
      weight = beta * weight + 1 - beta;
      return sum / weight;
    });
  }

  // ---- charts ----

  const margin = {left: 54, right: 10, top: 8, bottom: 24};
  const fewPoints = 30;

  class Chart {
    constructor(figure) {
      this.figure = figure;
      this.spec = data.charts[figure.dataset.chart];
      this.log = this.spec.log;
      this.plot = figure.querySelector('.plot');
      this.svg = figure.querySelector('svg');
      this.description = figure.querySelector('desc').textContent;
      this.readout = html('div', 'readout');
      this.readout.hidden = true;
      this.plot.append(this.readout);
      this.plot.classList.add('live');
      // A slider is what assistive technology knows how to move along: its value is the read-out.
      const title = figure.querySelector('h4').textContent;
      this.set({tabindex: 0, role: 'slider', 'aria-valuenow': 0, 'aria-valuetext': 'arrow keys read values', 'aria-label': title, 'aria-description': this.description});
      this.svg.setAttribute('aria-hidden', 'true');
      this.svg.removeAttribute('role');
      this.button = figure.querySelector('.scale');
      this.button.hidden = this.spec.series.some(s => s.y.some(v => v <= 0));
      this.button.setAttribute('aria-label', 'Logarithmic axis of ' + title);
      this.button.addEventListener('click', () => {
        this.log = !this.log;
        for (const c of this.group()) c.log = this.log;
        drawAll();
      });
      this.listen();
    }

    set(attributes) {
      for (const [key, value] of Object.entries(attributes)) this.plot.setAttribute(key, value);
    }

    // group is the charts that share the y axis with this one.
    group() { return this.spec.share ? charts.filter(c => c.spec.share === this.spec.share) : [this]; }

    overTime() { return this.spec.over === 'images' && view.over === 'time'; }

    // window is the chosen part of the x axis; charts over noise levels have none.
    window() { return this.spec.over === 'images' ? view.window : null; }

    // prepare computes the curves in the units of the present axes.
    prepare() {
      this.curves = [];
      for (const s of this.spec.series) {
        if (view.hidden.has(s.run)) continue;
        const x = this.overTime() ? s.x.map(v => secondsAt(data.runs[s.run], v)) : s.x;
        const smoothed = this.spec.noisy && view.smooth > 0 && s.y.length > 2;
        this.curves.push({series: s, x, raw: s.y, y: smoothed ? smooth(s.y, view.smooth) : s.y, smoothed});
      }
    }

    // xRange is what the x axis spans: the same for all charts over images or time, so that they can be read below one another.
    xRange() {
      if (this.window()) return this.window();
      const [lo, hi] = this.spec.over === 'images' ? wholeRange() : extent([this]);
      return lo < hi ? [lo, hi] : [lo - 1, hi + 1];
    }

    // yExtent is what the curves span within the window, with one point more on each side.
    yExtent() {
      let lo = Infinity, hi = -Infinity;
      const [from, to] = this.xRange();
      for (const c of this.curves) {
        const first = Math.max(0, firstFrom(c.x, from) - 1), last = Math.min(c.x.length - 1, firstFrom(c.x, to));
        for (let i = first; i <= last; i++) {
          for (const v of [c.y[i], c.raw[i]]) {
            lo = Math.min(lo, v);
            hi = Math.max(hi, v);
          }
        }
      }
      return [lo, hi];
    }

    yRange() {
      let lo = Infinity, hi = -Infinity;
      for (const c of this.group()) {
        const [l, h] = c.yExtent();
        lo = Math.min(lo, l);
        hi = Math.max(hi, h);
      }
      if (this.log) {
        const room = Math.max(hi / lo, 1.05) ** 0.04;
        return [lo / room, hi * room];
      }
      const room = 0.04 * (hi - lo) || Math.max(0.05 * Math.abs(hi), 1e-9);
      return this.spec.zero && lo >= 0 ? [0, hi + room] : [lo - room, hi + room];
    }

    draw() {
      this.figure.hidden = this.curves.length === 0;
      this.button.setAttribute('aria-pressed', this.log);
      const width = this.plot.clientWidth, height = this.plot.clientHeight;
      if (this.figure.hidden || !width) return;
      const right = width - margin.right, bottom = height - margin.bottom;
      this.x = scale(...this.xRange(), margin.left, right, this.spec.over === 'sigma');
      this.y = scale(...this.yRange(), bottom, margin.top, this.log);
      this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
      this.svg.replaceChildren(...this.axes(width, bottom, right));
      const clip = `clip-${this.figure.dataset.chart}`;
      this.svg.append(element('clipPath', {id: clip}, element('rect', {x: margin.left, y: 0, width: right - margin.left + 4, height: bottom + 4})));
      const lines = element('g', {'clip-path': `url(#${clip})`});
      for (const c of this.curves) lines.append(this.line(c));
      this.marks = element('g');
      this.svg.append(lines, this.marks);
      this.readout.hidden = true;
    }

    // axes draws rules and labels.
    axes(width, bottom, right) {
      const parts = [];
      for (const v of ticks(this.y, 5)) {
        const y = this.y.at(v);
        parts.push(element('line', {class: 'rule', x1: margin.left, x2: right, y1: y, y2: y}));
        parts.push(element('text', {class: 'y', x: margin.left - 7, y, dy: '.32em'}, short(v)));
      }
      const [unit, name] = this.overTime() ? timeUnit(this.x.hi) : [1, ''];
      const inUnits = scale(this.x.lo / unit, this.x.hi / unit, margin.left, right, this.x.log);
      for (const v of ticks(inUnits, Math.max(2, Math.round(width / 90)))) {
        const x = Math.min(inUnits.at(v), right - 8);
        parts.push(element('text', {class: 'x', x, y: bottom + 17}, short(v) + (name && ' ' + name)));
      }
      parts.push(element('line', {class: 'axis', x1: margin.left, x2: right, y1: bottom, y2: bottom}));
      return parts;
    }

    // line draws one curve; where it is smoothed, faintly also what was measured.
    line(c) {
      const g = element('g', {class: className(c.series)});
      if (c.series.level !== undefined) g.style.setProperty('--t', c.series.level);
      if (c.smoothed) g.append(element('path', {class: 'raw', d: this.path(c.x, c.raw)}));
      g.append(element('path', {d: this.path(c.x, c.y)}));
      if (c.x.length <= fewPoints) {
        c.x.forEach((x, i) => g.append(element('circle', {cx: this.x.at(x), cy: this.y.at(c.y[i]), r: 3})));
      }
      return g;
    }

    path(x, y) {
      let d = '';
      for (let i = 0; i < x.length; i++) d += (i ? 'L' : 'M') + this.x.at(x[i]).toFixed(1) + ' ' + this.y.at(y[i]).toFixed(1);
      return d;
    }

    // ---- reading and zooming ----

    // stops are the places of the x axis, within the window, where something was measured.
    stops() {
      const all = new Set();
      for (const c of this.curves) for (const x of c.x) if (x >= this.x.lo && x <= this.x.hi) all.add(x);
      return [...all].sort((a, b) => a - b);
    }

    // read shows the values at place x of the x axis.
    read(x) {
      const stops = this.stops();
      if (!stops.length) return;
      this.at = stops[nearest(stops, x)];
      const px = this.x.at(this.at);
      this.marks.replaceChildren(element('line', {class: 'cursor', x1: px, x2: px, y1: margin.top, y2: this.plot.clientHeight - margin.bottom}));
      const rows = [], words = [];
      for (const c of this.curves) {
        const i = nearest(c.x, this.at);
        const gap = c.x.length > 1 ? (c.x[c.x.length - 1] - c.x[0]) / (c.x.length - 1) : 0;
        if (Math.abs(c.x[i] - this.at) > 1.5 * gap) continue; // the run has nothing to say about this place
        const value = short(c.y[i]) + (this.spec.unit ? ' ' + this.spec.unit : '');
        const dot = element('circle', {cx: this.x.at(c.x[i]), cy: this.y.at(c.y[i]), r: 4, class: className(c.series)});
        const row = html('div', className(c.series), html('i', ''), html('span', '', c.series.name), html('b', '', value));
        for (const e of [dot, row]) if (c.series.level !== undefined) e.style.setProperty('--t', c.series.level);
        this.marks.append(dot);
        rows.push(row);
        words.push(`${c.series.name} ${value}`);
      }
      this.readout.replaceChildren(html('b', '', this.place(this.at)), ...rows);
      this.readout.hidden = false;
      const flip = px > this.plot.clientWidth / 2;
      this.readout.style.left = flip ? 'auto' : `${px + 10}px`;
      this.readout.style.right = flip ? `${this.plot.clientWidth - px + 10}px` : 'auto';
      this.set({'aria-valuemin': stops[0], 'aria-valuemax': stops[stops.length - 1], 'aria-valuenow': this.at, 'aria-valuetext': `${this.place(this.at)}: ${words.join(', ')}`});
    }

    place(x) {
      if (this.spec.over === 'sigma') return 'σ ' + short(x);
      if (!this.overTime()) return whole(x) + ' images';
      const [unit, name] = timeUnit(x);
      return trim(x / unit, 3) + ' ' + name;
    }

    unread() {
      this.readout.hidden = true;
      this.at = undefined;
      if (this.marks) this.marks.replaceChildren();
    }

    listen() {
      const p = this.plot;
      const place = e => Math.min(this.x.hi, Math.max(this.x.lo, this.x.value(e.clientX - p.getBoundingClientRect().left)));
      let start = null;
      p.addEventListener('pointerdown', e => {
        if (e.button === 0) start = {px: e.clientX, x: place(e)};
      });
      p.addEventListener('pointermove', e => {
        if (!start || Math.abs(e.clientX - start.px) < 8 || this.spec.over !== 'images') {
          this.read(place(e));
          return;
        }
        p.setPointerCapture(e.pointerId);
        this.unread();
        const [a, b] = [this.x.at(start.x), this.x.at(place(e))].sort((a, b) => a - b);
        this.marks.replaceChildren(element('rect', {class: 'selection', x: a, y: margin.top, width: b - a, height: p.clientHeight - margin.top - margin.bottom}));
      });
      p.addEventListener('pointerup', e => {
        if (start && Math.abs(e.clientX - start.px) >= 8 && this.spec.over === 'images') zoom([start.x, place(e)].sort((a, b) => a - b));
        else this.read(place(e));
        start = null;
      });
      p.addEventListener('pointercancel', () => { start = null; this.unread(); });
      p.addEventListener('pointerleave', e => { if (!start && e.pointerType === 'mouse') this.unread(); });
      p.addEventListener('blur', () => this.unread());
      p.addEventListener('dblclick', () => zoom(null));
      p.addEventListener('keydown', e => this.key(e));
    }

    key(e) {
      if (e.ctrlKey || e.metaKey || e.altKey) return;
      const stops = this.stops();
      const now = this.at === undefined ? stops.length - 1 : nearest(stops, this.at);
      const moves = {ArrowLeft: now - 1, ArrowRight: now + 1, ArrowDown: now - 1, ArrowUp: now + 1, PageDown: now - 10, PageUp: now + 10, Home: 0, End: stops.length - 1};
      if (e.key in moves) {
        this.read(stops[Math.max(0, Math.min(stops.length - 1, moves[e.key]))]);
      } else if ((e.key === '+' || e.key === '-') && this.spec.over === 'images') {
        const middle = this.at ?? (this.x.lo + this.x.hi) / 2, f = e.key === '+' ? 0.5 : 2;
        zoom([middle - f * (middle - this.x.lo), middle + f * (this.x.hi - middle)]);
        this.read(middle);
      } else if (e.key === '0' || e.key === 'Escape') {
        zoom(null);
      } else {
        return;
      }
      e.preventDefault();
    }
  }

  // className is what Go's runClass gives: colours, then dashes.
  function className(s) {
    return s.level !== undefined ? 'level' : `c${s.run % 6} d${Math.floor(s.run / 6) % 3}`;
  }

  const charts = [...document.querySelectorAll('.chart')].map(f => new Chart(f));

  function drawAll() {
    for (const c of charts) c.prepare();
    for (const c of charts) c.draw();
  }

  // extent is what the curves of charts span along x.
  function extent(charts) {
    let lo = Infinity, hi = -Infinity;
    for (const {curves} of charts) {
      for (const {x} of curves) {
        lo = Math.min(lo, x[0]);
        hi = Math.max(hi, x[x.length - 1]);
      }
    }
    return [lo, hi];
  }

  const wholeRange = () => extent(charts.filter(c => c.spec.over === 'images'));

  // zoom shows a window of all charts over images or time; null, or one that is all there is, is the whole range.
  function zoom(window) {
    if (window) {
      const [lo, hi] = wholeRange();
      window = [Math.max(window[0], lo), Math.min(window[1], hi)];
      if (window[0] <= lo && window[1] >= hi || !(window[0] < window[1])) window = null;
    }
    view.window = window;
    byId('reset').disabled = !window;
    drawAll();
  }

  function controls() {
    document.querySelectorAll('.controls').forEach(c => { c.hidden = false; });
    const over = byId('over');
    if (!over) return;
    over.hidden = data.runs.some(r => !r.seconds || !r.seconds.length);
    over.addEventListener('change', e => { view.over = e.target.value; zoom(null); });
    byId('smooth').addEventListener('input', e => {
      view.smooth = Number(e.target.value);
      byId('smooth-out').textContent = view.smooth ? view.smooth.toFixed(2) : 'none';
      drawAll();
    });
    byId('reset').addEventListener('click', () => zoom(null));
    document.querySelectorAll('.legend button').forEach(b => b.addEventListener('click', () => {
      const run = Number(b.dataset.run), shown = view.hidden.delete(run);
      if (!shown) view.hidden.add(run);
      b.setAttribute('aria-pressed', shown);
      drawAll();
    }));
    let width = 0;
    new ResizeObserver(() => {
      if (width !== document.body.clientWidth) drawAll();
      width = document.body.clientWidth;
    }).observe(document.body);
    drawAll();
  }

  function differences() {
    byId('differences')?.addEventListener('change', e => byId('options').classList.toggle('differences', e.target.checked));
  }

  // pictures makes one slider move through the grids of all runs: each shows its last one up to the slider's place.
  function pictures() {
    const albums = [...document.querySelectorAll('.strip')].map(s => [...s.children]);
    const places = [...new Set(albums.flat().map(f => Number(f.dataset.images)))].sort((a, b) => a - b);
    if (places.length < 2) return;
    const slider = byId('when'), play = byId('play');
    const show = place => {
      slider.value = place;
      const words = whole(places[place]) + ' images';
      byId('when-out').textContent = words;
      slider.setAttribute('aria-valuetext', words);
      for (const figures of albums) {
        const until = figures.filter(f => Number(f.dataset.images) <= places[place]);
        const now = until[until.length - 1] || figures[0];
        for (const f of figures) f.classList.toggle('now', f === now);
      }
    };
    slider.max = places.length - 1;
    slider.addEventListener('input', () => { stop(); show(Number(slider.value)); });
    let timer = null;
    const stop = () => {
      clearInterval(timer);
      timer = null;
      play.textContent = 'Play';
      play.setAttribute('aria-pressed', false);
    };
    play.addEventListener('click', () => {
      if (timer) return stop();
      play.textContent = 'Stop';
      play.setAttribute('aria-pressed', true);
      let place = Number(slider.value) === places.length - 1 ? 0 : Number(slider.value);
      show(place);
      timer = setInterval(() => {
        show(++place);
        if (place === places.length - 1) stop();
      }, 400);
    });
    document.querySelector('.slider').hidden = false;
    document.querySelector('.albums').classList.add('one');
    show(places.length - 1);
  }

  controls();
  differences();
  pictures();
})();
