// The cases of the report: search, filter, sort, open. Every text goes into a text node.
(() => {
  "use strict";

  const PAGE = 50;
  const FLIPS = 30;
  const WARNINGS = new Set(["repaired"]);

  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const last = data.runs.length - 1;
  const cases = data.cases.concat(restOf(data.rest || { ids: [] }));
  const labels = data.compared ? ["old", "new"] : data.runs;
  const statusOf = (row, run) => (row.runs[run] ? row.runs[run].status : null);

  // Of a large run, what does not decide is there as columns.
  function restOf(rest) {
    return rest.ids.map((id, k) => {
      const row = { id, brief: true, repeat: rest.repeats ? rest.repeats[k] : 0, tags: rest.tags.values[rest.tags.codes[k]] };
      if (rest.flips && rest.flips[k]) row.flip = rest.flips[k];
      row.runs = rest.statuses.map((codes, run) => (codes[k] == null ? null
        : { status: data.statuses[codes[k]], turns: [run === last && rest.tokens[k] != null ? { tokens: rest.tokens[k] } : {}] }));
      return row;
    });
  }

  function make(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name === "class") node.className = value;
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value != null) node.setAttribute(name, value);
    }
    node.append(...children.flat().filter((child) => child != null && child !== false && child !== ""));
    return node;
  }

  const quote = (text) => make("bdi", {}, text);
  const badge = (word) => make("span", { class: `badge ${data.statuses.includes(word) ? word : ""}` }, word);
  const change = (word) => make("span", { class: `badge ${word}` }, word);
  const slug = (row) => `#case=${encodeURIComponent(row.id)}${row.repeat ? `&repeat=${row.repeat + 1}` : ""}`;
  const named = (row) => (row.repeat ? [quote(row.id), ` (repeat ${row.repeat + 1})`] : [quote(row.id)]);
  const number = (value, digits) => value.toLocaleString("en", { maximumFractionDigits: digits });

  // What a row is about

  const differs = (row) => new Set(row.runs.map((run) => (run ? run.status : ""))).size > 1;
  const turnsOf = (row, run) => (row.runs[run] && row.runs[run].turns) || [];

  function sum(row, field) {
    const known = turnsOf(row, last).map((turn) => turn[field]).filter((value) => value != null);
    return known.length ? known.reduce((one, two) => one + two, 0) : null;
  }

  function least(row, field) {
    const known = turnsOf(row, last).map((turn) => turn[field]).filter((value) => value != null);
    return known.length ? Math.min(...known) : null;
  }

  const toolsOf = (row) => row.runs.flatMap((_, run) => turnsOf(row, run).flatMap((turn) => (turn.calls || []).map(([tool]) => tool)));
  const findingsOf = (row) => row.runs.flatMap((_, run) => turnsOf(row, run).flatMap((turn) => (turn.findings || []).map(([code]) => code)));

  // Made once, in the background: ten thousand rows of text take a moment.
  const searched = new Map();
  function textOf(row) {
    if (!searched.has(row)) {
      const answers = row.runs.flatMap((_, run) => turnsOf(row, run).flatMap((turn) => [
        ...(turn.calls || []).flatMap(([tool, given]) => [tool, ...given.map((each) => each.join(" "))]),
        ...(turn.findings || []).map((each) => each.join(" ")),
        turn.raw || "", turn.error || "",
      ]));
      const asked = (row.turns || []).map((turn) => turn.text || "");
      searched.set(row, [row.id, row.prompt || "", ...(row.tags || []), ...asked, ...answers].join("\n").toLowerCase());
    }
    return searched.get(row);
  }

  function prepareSearch(from) {
    const step = 500;
    cases.slice(from, from + step).forEach(textOf);
    if (from + step < cases.length) setTimeout(prepareSearch, 0, from + step);
  }

  // One case in full

  function mixed(row, turn, place, pick) {
    // Whether the runs that have a call at this place say different things there.
    const said = row.runs.filter(Boolean).map((run) => ((run.turns || [])[turn] || {}).calls || []).map((calls) => (calls[place] ? pick(calls[place]) : undefined));
    return new Set(said).size > 1;
  }

  function callNode([tool, given], isMixed) {
    const marked = (text, yes) => (yes ? make("mark", {}, quote(text)) : quote(text));
    const node = make("div", { class: "call" }, make("code", { class: "tool" }, marked(tool, isMixed((call) => call[0]))));
    if (given.length) {
      node.append(make("dl", { class: "mono" }, given.flatMap(([name, value]) => {
        const value_of = (call) => (call[1].find((each) => each[0] === name) || [])[1];
        return [make("dt", {}, quote(name)), make("dd", {}, marked(value, isMixed(value_of)))];
      })));
    }
    return node;
  }

  function expectedNode(alternatives) {
    const never = () => false;
    const nodes = alternatives.map((each) => {
      if (each.abstain) return make("div", { class: "call" }, "no call", each.text && [", and a text that meets ", make("code", {}, quote(each.text))]);
      return make("div", {}, (each.calls || []).map((call) => callNode(call, never)), each.rules && make("p", { class: "meta" }, each.rules));
    });
    return nodes.flatMap((node, place) => (place ? [make("p", { class: "label" }, "or"), node] : [node]));
  }

  function answerNode(row, run, turn) {
    const result = row.runs[run];
    const title = make("p", { class: "label" }, quote(labels[run]), " ");
    if (!result) return make("div", { class: "answer" }, title, make("p", { class: "meta" }, "not in this run"));
    const answer = (result.turns || [])[turn];
    if (!answer) return make("div", { class: "answer" }, title, make("p", { class: "meta" }, "no such turn"));
    title.append(badge(answer.status));
    if (result.lenient) title.append(" ", make("span", { class: "meta" }, `${result.lenient} if read leniently`));
    const node = make("div", { class: "answer" }, title);
    const calls = answer.calls || [];
    for (const [place, call] of calls.entries()) {
      node.append(callNode(call, (pick) => row.runs.length > 1 && mixed(row, turn, place, pick)));
    }
    if (answer.said) node.append(make("blockquote", {}, quote(answer.said)));
    else if (!calls.length && !answer.error) node.append(make("p", { class: "call" }, answer.silent ? "nothing at all" : "no call that can be read"));
    if (answer.error) node.append(make("p", {}, "error: ", quote(answer.error)));
    if (answer.returned) node.append(make("ul", { class: "findings" }, answer.returned.map((text) => make("li", { class: "warning" }, "returned ", quote(text)))));
    if (answer.findings) {
      node.append(make("ul", { class: "findings" }, answer.findings.map(([code, kind, detail]) => make("li", { class: WARNINGS.has(code) ? "warning" : "" },
        make("b", {}, quote(code)), kind && [" (", quote(kind), ")"], ": ", quote(detail)))));
    }
    const facts = [
      answer.tokens != null && `${number(answer.tokens)} tokens`,
      answer.latency != null && `${number(answer.latency, 0)} ms`,
      answer.ttft != null && `first token after ${number(answer.ttft, 0)} ms`,
      answer.margin != null && `margin ${number(answer.margin, 3)}`,
    ].filter(Boolean);
    if (answer.finish) facts.push(`ended by ${answer.finish}`);
    if (facts.length) node.append(make("p", { class: "meta" }, quote(facts.join(" · "))));
    if (answer.raw) {
      node.append(make("details", { class: "raw" }, make("summary", {}, "Raw output, special tokens and all"), make("pre", { tabindex: "0" }, quote(answer.raw))));
    }
    return node;
  }

  function outcomeNode(row, run) {
    const result = row.runs[run] || {};
    const node = make("div", { class: "answer" }, make("p", { class: "label" }, "came to, ", quote(labels[run])));
    node.append(make("p", { class: "meta" }, (result.outcome || []).join("; ")));
    const wrong = (result.wrong || []).map(([code, , detail]) => make("li", {}, make("b", {}, quote(code)), ": ", quote(detail)));
    const changes = (result.changes || []).map((text) => make("li", { class: "warning" }, "state: ", quote(text)));
    if (wrong.length || changes.length) node.append(make("ul", { class: "findings" }, [...wrong, ...changes]));
    return node;
  }

  function fullNode(row) {
    const asked = row.turns || [];
    const many = Math.max(asked.length, ...row.runs.map((_, run) => turnsOf(row, run).length));
    const executed = row.runs.some((run) => run && run.outcome);
    const nodes = [];
    if (row.brief) return [make("p", { class: "meta" }, "This page holds in full what decides. ", make("code", {}, "harness explain"), " shows this case.")];
    if (row.changed) nodes.push(make("p", { class: "meta" }, "The question is not the same in all runs; the newest is shown."));
    for (let turn = 0; turn < many; turn += 1) {
      const here = asked[turn] || {};
      if (many > 1) nodes.push(make("p", { class: "label" }, executed ? `Step ${turn}` : `Turn ${turn + 1}`));
      const said = here.text == null && turn === 0 ? row.prompt : here.text;
      const who = here.role && here.role !== "user" ? [quote(here.role), " said"] : "asked";
      if (here.text != null && turn === 0 && row.prompt) nodes.push(make("div", { class: "asked" }, make("p", { class: "label" }, "asked"), make("blockquote", {}, quote(row.prompt))));
      if (said) nodes.push(make("div", { class: "asked" }, make("p", { class: "label" }, who), make("blockquote", {}, quote(said))));
      nodes.push(make("div", { class: "answers" },
        here.expected && make("div", { class: "answer" }, make("p", { class: "label" }, "expected"), expectedNode(here.expected)),
        row.runs.map((_, run) => answerNode(row, run, turn))));
    }
    if (executed) nodes.push(make("div", { class: "answers" }, row.runs.map((_, run) => outcomeNode(row, run))));
    return nodes;
  }

  // Flips, the broken ones first

  function flipNode(row) {
    const [was, now] = row.runs.map((run) => run.status);
    return make("article", { class: `flip ${row.flip}` },
      make("header", {}, make("h4", {}, make("a", { href: slug(row) }, named(row))), badge(was), "→", badge(now),
        row.must && make("span", { class: "badge broken" }, "must pass"), (row.tags || []).map((tag) => make("span", { class: "tag" }, quote(tag)))),
      fullNode(row));
  }

  function showFlips() {
    for (const kind of ["broken", "fixed"]) {
      const all = cases.filter((row) => row.flip === kind);
      const rows = all.filter((row) => !row.brief);
      const place = byId(kind);
      place.append(make("h3", {}, `${kind === "broken" ? "Broken" : "Fixed"} (${number(all.length)})`));
      if (rows.length < all.length) place.append(make("p", { class: "meta" }, `${number(rows.length)} of them are in this page in full.`));
      if (!all.length) place.append(make("p", { class: "meta" }, kind === "broken" ? "No case that was correct is wrong now." : "No case was fixed."));
      const first = kind === "broken" ? FLIPS : FLIPS / 6;
      place.append(...rows.slice(0, first).map(flipNode));
      if (rows.length > first) {
        const more = make("button", { type: "button" }, `Show ${number(rows.length - first)} more`);
        more.addEventListener("click", () => more.replaceWith(...rows.slice(first).map(flipNode)));
        place.append(more);
      }
    }
    byId("flips").hidden = false;
    byId("to-flips").hidden = false;
  }

  // The table

  const collator = new Intl.Collator("en", { numeric: true });
  const worst = (status) => (status == null ? 9 : data.statuses.length - data.statuses.indexOf(status));
  const flipOrder = { broken: 0, fixed: 1 };
  const has = (field) => cases.some((row) => sum(row, field) != null);
  const columns = [
    { title: "Case", key: (row) => row.id, cell: (row) => make("th", { scope: "row", class: "name" }, make("a", { href: slug(row), title: row.id }, named(row))) },
    { title: "Prompt", cell: (row) => make("td", { class: "prompt" }, make("span", { class: "clip" }, quote(row.prompt || ""))) },
    { title: "Tags", cell: (row) => make("td", { class: "tags" }, (row.tags || []).map((tag) => make("span", { class: "tag" }, quote(tag))), row.must && make("span", { class: "tag" }, "must pass"), row.quarantined && make("span", { class: "tag" }, "quarantined")) },
    ...labels.map((label, run) => ({
      title: labels.length > 1 ? label : "Status", run: labels.length > 1, key: (row) => worst(statusOf(row, run)),
      cell: (row) => make("td", labels.length > 1 ? { "data-label": label } : {}, statusOf(row, run) ? badge(statusOf(row, run)) : "–"),
    })),
    data.compared && { title: "Change", key: (row) => flipOrder[row.flip] ?? 2, cell: (row) => make("td", {}, row.flip ? change(row.flip) : "") },
    has("tokens") && { title: "Tokens", key: (row) => sum(row, "tokens"), numeric: true, down: true, cell: (row) => numberCell(sum(row, "tokens"), 0) },
    has("latency") && { title: "Latency, ms", key: (row) => sum(row, "latency"), numeric: true, down: true, cell: (row) => numberCell(sum(row, "latency"), 0) },
    has("margin") && { title: "Margin", key: (row) => least(row, "margin"), numeric: true, cell: (row) => numberCell(least(row, "margin"), 3) },
  ].filter(Boolean);
  const numberCell = (value, digits) => make("td", { class: "number" }, value == null ? "–" : number(value, digits));

  let shown = cases;
  let page = 0;
  let sorted = null;
  let down = false;
  const opened = new Set();
  const body = make("tbody");

  function compareBy(column) {
    return (one, two) => {
      const [first, second] = [column.key(one), column.key(two)];
      if (first == null || second == null) return (first == null) - (second == null);
      const order = typeof first === "string" ? collator.compare(first, second) : first - second;
      return down ? -order : order;
    };
  }

  const wanted = {
    "": () => true,
    broken: (row) => row.flip === "broken",
    fixed: (row) => row.flip === "fixed",
    differs,
  };

  function filter() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [status, tag, tool, finding] = ["status", "tag", "tool", "finding"].map((id) => byId(id).value);
    const fits = wanted[status] || ((row) => statusOf(row, last) === status);
    shown = cases.filter((row) => fits(row)
      && (!tag || (row.tags || []).includes(tag))
      && (!tool || toolsOf(row).includes(tool))
      && (!finding || findingsOf(row).includes(finding))
      && words.every((word) => textOf(row).includes(word)));
    if (sorted) shown.sort(compareBy(sorted));
    page = 0;
    showRows();
  }

  function detailRow(row) {
    return make("tr", { class: "detail", id: `detail-${cases.indexOf(row)}` }, make("td", { colspan: columns.length + 1 }, fullNode(row)));
  }

  function rowNodes(row) {
    const isOpen = opened.has(row);
    const toggle = make("button", { type: "button", class: "toggle", "aria-expanded": String(isOpen), "aria-label": `${isOpen ? "Close" : "Open"} ${row.id}` }, isOpen ? "−" : "+");
    const line = make("tr", { class: isOpen ? "case opened" : "case" }, columns.map((column) => column.cell(row)), make("td", { class: "open" }, toggle));
    toggle.addEventListener("click", () => {
      const open = !opened.has(row);
      opened[open ? "add" : "delete"](row);
      if (open) line.after(detailRow(row));
      else line.nextSibling.remove();
      line.classList.toggle("opened", open);
      toggle.setAttribute("aria-expanded", String(open));
      toggle.setAttribute("aria-label", `${open ? "Close" : "Open"} ${row.id}`);
      toggle.textContent = open ? "−" : "+";
    });
    return isOpen ? [line, detailRow(row)] : [line];
  }

  function showRows() {
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    body.replaceChildren(...shown.slice(page * PAGE, (page + 1) * PAGE).flatMap(rowNodes));
    const left = data.rest && data.rest.left_out ? `, and ${number(data.rest.left_out)} more that are not listed` : "";
    byId("count").textContent = `${shown.length === cases.length ? "" : `${number(shown.length)} of `}${number(cases.length)} answers${left}`;
    byId("pages").hidden = pages === 1;
    byId("page").textContent = `Page ${page + 1} of ${pages}`;
    byId("previous").disabled = page === 0;
    byId("next").disabled = page === pages - 1;
  }

  function turnPage(by) {
    page += by;
    showRows();
    byId("cases").scrollIntoView();
  }

  function header(column) {
    if (!column.key) return make("th", { scope: "col" }, column.title);
    const button = make("button", { type: "button" }, quote(column.title));
    const cell = make("th", { scope: "col", class: column.numeric ? "number" : column.run ? "run" : "" }, button);
    button.addEventListener("click", () => {
      down = sorted === column ? !down : Boolean(column.down);
      sorted = column;
      for (const other of cell.parentNode.children) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      filter();
    });
    return cell;
  }

  function options(id, all, values) {
    const counted = new Map();
    for (const value of values) counted.set(value, (counted.get(value) || 0) + 1);
    const entries = id === "status" ? [...counted] : [...counted].sort((one, two) => collator.compare(one[0], two[0]));
    byId(id).append(make("option", { value: "" }, all), ...entries.map(([value, count]) => make("option", { value }, `${value} (${number(count)})`)));
  }

  function openLinked() {
    if (!location.hash.startsWith("#case=")) return;
    const row = cases.find((each) => slug(each) === location.hash);
    if (!row) return;
    opened.add(row);
    if (!shown.includes(row)) {
      byId("filters").reset();
      filter();
    }
    page = Math.floor(shown.indexOf(row) / PAGE);
    showRows();
    const link = [...body.querySelectorAll(".name a")].find((each) => each.getAttribute("href") === location.hash);
    link.closest("tr").scrollIntoView();
    link.focus({ preventScroll: true });
  }

  function start() {
    const statuses = cases.flatMap((row) => [row.flip, labels.length > 1 && differs(row) && "differs", statusOf(row, last)].filter(Boolean));
    const order = ["broken", "fixed", "differs", ...data.statuses];
    options("status", "all", statuses.sort((one, two) => order.indexOf(one) - order.indexOf(two)));
    options("tag", "all", cases.flatMap((row) => row.tags || []));
    options("tool", "any", cases.flatMap((row) => [...new Set(toolsOf(row))]));
    options("finding", "any", cases.flatMap((row) => [...new Set(findingsOf(row))]));
    byId("rows").append(make("table", {}, make("thead", {}, make("tr", {}, columns.map(header), make("th", { scope: "col" }, "Open"))), body));
    const filters = byId("filters");
    filters.addEventListener("input", filter);
    filters.addEventListener("reset", () => setTimeout(filter));
    filters.addEventListener("submit", (event) => event.preventDefault());
    filters.hidden = false;
    byId("previous").addEventListener("click", () => turnPage(-1));
    byId("next").addEventListener("click", () => turnPage(1));
    addEventListener("hashchange", openLinked);
    addEventListener("beforeprint", () => document.querySelectorAll(".drawer").forEach((each) => { each.open = true; }));
    if (data.compared) showFlips();
    showRows();
    openLinked();
    prepareSearch(0);
  }

  start();
})();
