"use strict";
// What a report's page does: sorts and filters tables, keeps that in the address, draws charts, saves the data.
// Without it the page is whole but for the charts. It makes no request, and sets text only as text.
(() => {
  const byId = (id) => document.getElementById(id);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const made = (tag, given = {}, ...inside) => {
    const element = Object.assign(document.createElement(tag), given);
    element.append(...inside);
    return element;
  };

  // The address: #layers.sort=-2&layers.filter=conv&pick=12%2F2. Anything else is a plain link to a section.
  const state = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  const keep = (key, value) => {
    if (value) state.set(key, value); else state.delete(key);
    history.replaceState(null, "", state.size ? "#" + state : location.pathname + location.search);
  };

  // Base85 as Python writes it, with ':' in place of '<'
  const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;:=>?@^_`{|}~";
  const decoded = (text) => {
    const places = new Uint8Array(128);
    [...LETTERS].forEach((letter, place) => { places[letter.charCodeAt(0)] = place; });
    const missing = (5 - (text.length % 5)) % 5, padded = text + "~".repeat(missing);
    const bytes = new DataView(new ArrayBuffer((padded.length / 5) * 4));
    for (let from = 0, to = 0; from < padded.length; from += 5, to += 4) {
      let word = 0;
      for (let place = from; place < from + 5; place++) word = word * 85 + places[padded.charCodeAt(place)];
      bytes.setUint32(to, word);
    }
    return new Uint8Array(bytes.buffer, 0, bytes.byteLength - missing);
  };

  const unpacked = async (id) => {
    const bytes = decoded(byId(id).textContent);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };
  let held = null;
  const packed = () => (held ??= unpacked("packed").then(JSON.parse));

  // Tables
  const value = (row, place) => {
    const cell = row.cells[place];
    return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
  };
  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b
    : typeof a === "number" ? -1 : typeof b === "number" ? 1 : a.localeCompare(b, "en", { numeric: true }));

  const arranged = (table) => {
    const key = table.dataset.table, body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
    const original = [...body.rows];
    const sort = (signed) => {
      const place = Math.abs(signed) - 1, sign = Math.sign(signed);
      heads.forEach((head) => head.removeAttribute("aria-sort"));
      if (!heads[place] || !signed) { body.append(...original); return; }
      heads[place].setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      body.append(...[...original].sort((a, b) => sign * compare(value(a, place), value(b, place))));
    };
    heads.forEach((head, place) => {
      if (head.textContent === "as YAML") return;
      const button = made("button", { type: "button", textContent: head.textContent, title: head.title });
      head.removeAttribute("title");
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const first = head.classList.contains("n") ? -1 : 1; // of numbers the largest first
        const next = now === null ? first : now === (first < 0 ? "descending" : "ascending") ? -first : 0;
        sort(next * (place + 1));
        keep(key + ".sort", next ? String(next * (place + 1)) : "");
      });
    });
    const begun = Number(state.get(key + ".sort"));
    if (Number.isInteger(begun) && begun) sort(begun);
    if (original.length < 8) return;
    const box = made("input", { type: "search", id: "filter-" + key, autocomplete: "off" });
    const count = made("output", { className: "soft" });
    count.setAttribute("aria-live", "polite");
    const filter = () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      original.forEach((row) => {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      });
      count.textContent = words.length ? `${shown} of ${original.length} rows` : "";
    };
    box.addEventListener("input", () => { filter(); keep(key + ".filter", box.value); });
    box.value = state.get(key + ".filter") ?? "";
    filter();
    const tools = made("div", { className: "tools" });
    tools.append(made("label", { htmlFor: box.id, textContent: "Filter the rows" }), box, count);
    table.closest(".wide").before(tools);
  };

  // A slider: the answers are in the page, one for each place; it shows another one, and picks its row.
  const sliding = (slider) => {
    const labels = all("dt", slider), answers = all("dd", slider), shown = slider.querySelector(".answer");
    const range = made("input", { type: "range", id: slider.id + "-range", min: 0, max: labels.length - 1, step: 1 });
    const said = made("output", { htmlFor: range.id });
    const show = (at) => {
      range.value = at;
      said.textContent = labels[at].textContent;
      range.setAttribute("aria-valuetext", labels[at].textContent);
      const [answer, ...more] = answers[at].children;
      shown.replaceChildren(made("p", {}, made("strong", { textContent: answer.textContent })), ...more.map((each) => each.cloneNode(true)));
    };
    range.addEventListener("input", () => {
      show(Number(range.value));
      keep(slider.id, range.value);
      pick(answers[Number(range.value)].dataset.key, false);
    });
    const bar = made("div", { className: "tools" });
    bar.append(made("label", { htmlFor: range.id, textContent: slider.dataset.label }), range, said);
    shown.after(bar);
    const begun = Number(state.get(slider.id) ?? slider.dataset.begin);
    show(Number.isInteger(begun) && labels[begun] ? begun : Number(slider.dataset.begin));
  };

  // What is of one view is shown in that view alone; all switches change together, and colour the drawings.
  const view = (at) => {
    all(".switch input").forEach((one) => { one.checked = one.value === at; });
    all("[data-view]").forEach((one) => { one.hidden = one.dataset.view !== at; });
    all("[data-heat]").forEach((box) => box.style.setProperty("--heat", box.dataset.heat.split(" ")[Number(at)]));
    all(`[data-view="${at}"] .js-plotly-plot`).forEach((plot) => Plotly.Plots.resize(plot));
  };
  const switching = () => {
    const places = new Set(all(".switch input").map((one) => one.value));
    if (!places.size) return;
    all(".switch input").forEach((one) => one.addEventListener("change", () => {
      view(one.value);
      keep("view", one.value === "0" ? "" : one.value);
    }));
    if (places.has(state.get("view"))) view(state.get("view"));
  };

  // Rows and points of the same key are picked together.
  const steppers = [];
  const pick = (key, scroll) => {
    keep("pick", key);
    all("tr.picked").forEach((row) => { row.classList.remove("picked"); row.removeAttribute("aria-current"); });
    const rows = all("tr[data-key]").filter((row) => row.dataset.key === key);
    rows.forEach((row) => { row.classList.add("picked"); row.setAttribute("aria-current", "true"); });
    if (scroll && rows[0]) rows[0].scrollIntoView({ block: "nearest" });
    steppers.forEach((show) => show(key));
  };

  const stepper = (plot, figure) => {
    const points = figure.data.flatMap((trace, curveNumber) => (trace.customdata ?? [])
      .map((key, pointNumber) => ({ key, curveNumber, pointNumber, text: trace.hovertext?.[pointNumber] ?? key }))
      .filter((point) => point.key && trace.opacity === 1));
    if (!points.length) return;
    const order = ({ curveNumber, pointNumber }) => figure.data[curveNumber].x[pointNumber];
    points.sort((a, b) => order(a) - order(b));
    const said = made("output");
    said.setAttribute("aria-live", "polite");
    let at = -1;
    const show = (key) => {
      const place = points.findIndex((point) => point.key === key);
      if (place < 0) return;
      at = place;
      said.textContent = plain(points[at].text);
      try { Plotly.Fx.hover(plot, [points[at]]); } catch { /* a point outside of a zoomed view is said all the same */ }
    };
    const go = (step) => {
      const next = at < 0 ? (step > 0 ? 0 : points.length - 1) : (at + step + points.length) % points.length;
      pick(points[next].key, false);
    };
    const button = (words, step) => {
      const one = made("button", { type: "button", textContent: words });
      one.addEventListener("click", () => go(step));
      return one;
    };
    const bar = made("div", { className: "stepper" }, button("Previous point", -1), button("Next point", 1), said);
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", "Points of the chart, arrow keys too");
    bar.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) { event.preventDefault(); go(step); }
    });
    plot.after(bar);
    plot.on("plotly_click", (event) => {
      const key = event.points[0]?.customdata;
      if (key) pick(key, true);
    });
    steppers.push(show);
  };
  // plotly's texts hold <br> and three entities, nothing else
  const plain = (text) => text.replaceAll("<br>", "\n").replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

  const charts = async () => {
    const plots = all("[data-figure]");
    if (!plots.length) return;
    const script = made("script");
    script.textContent = await unpacked("plotly");
    document.head.append(script);
    const { figures } = await packed();
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    for (const plot of plots) {
      const figure = figures[plot.dataset.figure];
      if (figure.layout.height) { plot.classList.add("short"); plot.style.height = figure.layout.height + "px"; }
      figure.layout.transition = still ? { duration: 0 } : undefined;
      await Plotly.newPlot(plot, figure.data, figure.layout,
        { displayModeBar: false, displaylogo: false, showSendToCloud: false, responsive: true });
      stepper(plot, figure);
    }
    // printed, a chart has the width of the paper, which scripts cannot know: A4 and Letter less their margins
    addEventListener("beforeprint", () => plots.forEach((plot) => Plotly.relayout(plot, { width: 690 })));
    addEventListener("afterprint", () => plots.forEach((plot) => Plotly.relayout(plot, { width: null, autosize: true })));
    if (state.get("pick")) pick(state.get("pick"), true);
    document.documentElement.dataset.after = String(performance.now());
    document.documentElement.dataset.charts = String(plots.length);
  };

  // Rows as CSV: what a spreadsheet would run is marked as text, what cannot be seen is an escape.
  const written = (rows) => {
    const escaped = (letter) => "\\u" + letter.charCodeAt(0).toString(16).padStart(4, "0");
    const cell = (value) => {
      if (typeof value !== "string" && !Array.isArray(value)) return String(value ?? "");
      const text = [value].flat().join("; ").replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, escaped);
      const marked = /^[=+@-]/.test(text) ? "'" + text : text;
      return /[",]/.test(marked) ? `"${marked.replaceAll('"', '""')}"` : marked;
    };
    const heads = [...new Set(rows.flatMap(Object.keys))];
    return [heads, ...rows.map((row) => heads.map((head) => row[head]))].map((row) => row.map(cell).join(",") + "\n").join("");
  };

  const saving = () => {
    const name = (document.title.replace(/[^A-Za-z0-9-]+/g, "-").replace(/^-+|-+$/g, "") || "report").slice(0, 60);
    const save = (words, ending, kind, text) => {
      const button = made("button", { type: "button", textContent: words });
      button.addEventListener("click", async () => {
        const url = URL.createObjectURL(new Blob([text(await packed())], { type: kind }));
        made("a", { href: url, download: name + ending }).click();
        setTimeout(() => URL.revokeObjectURL(url), 1000);
      });
      byId("save").append(button);
    };
    save("Save as JSON", ".json", "application/json", (all) => JSON.stringify(all.data, null, 1));
    save("Save as CSV", ".csv", "text/csv", (all) => all.csv || written(all.data[all.rows]));
  };

  const copying = () => all("details.copy").forEach((fold) => {
    const text = fold.querySelector("pre");
    const button = made("button", { type: "button", textContent: "Copy" });
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(text); // no clipboard for this page: it is selected instead
        button.textContent = "Selected";
      }
    });
    fold.append(button);
  });

  document.documentElement.classList.add("js");
  addEventListener("keydown", (event) => { if (event.key === "Escape" && state.get("pick")) pick("", false); });
  all("table[data-table]").forEach(arranged);
  all(".slider").forEach(sliding);
  all("tr[data-key]").forEach((row) => row.addEventListener("click", (event) => {
    if (!event.target.closest("details, button")) pick(row.dataset.key, false);
  }));
  switching();
  copying();
  saving();
  all("details.fold").forEach((fold) => {
    const key = fold.id.slice("fold-".length);
    if (state.get(key + ".sort") || state.get(key + ".filter")) fold.open = true;
  });
  // a link to a table opens what it is folded in
  const unfold = () => byId(decodeURIComponent(location.hash.slice(1)))?.closest("details")?.setAttribute("open", "");
  addEventListener("hashchange", unfold);
  unfold();
  if (state.get("pick")) pick(state.get("pick"), false);
  requestAnimationFrame(() => setTimeout(() => charts().catch((error) => {
    all(".plot").filter((plot) => !plot.children.length).forEach((plot) => plot.closest("figure").append(
      made("p", { className: "soft", textContent: "This browser could not draw the chart: " + error.message })));
  }), 0));
})();
