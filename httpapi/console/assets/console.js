// The pages work without this. With it they follow what happens, say what is wrong
// while one types, and write times and numbers as the reader's browser does.
'use strict';

const refreshHeader = {'X-Console-Refresh': '1'};

// Times and numbers.
const relative = new Intl.RelativeTimeFormat(undefined, {numeric: 'auto'});
const absolute = new Intl.DateTimeFormat(undefined, {dateStyle: 'medium', timeStyle: 'short'});
const exact = new Intl.DateTimeFormat(undefined, {dateStyle: 'full', timeStyle: 'long'});
const units = [['day', 86400], ['hour', 3600], ['minute', 60]];

function told(at) {
  const seconds = (at - Date.now()) / 1000;
  if (Math.abs(seconds) >= 7 * 86400) return absolute.format(at);
  for (const [unit, size] of units) {
    if (Math.abs(seconds) >= size) return relative.format(Math.round(seconds / size), unit);
  }
  return relative.format(Math.max(-50, Math.min(50, Math.round(seconds / 10) * 10)), 'second');
}

function localize(root) {
  for (const t of root.querySelectorAll('time[datetime]')) {
    const at = new Date(t.dateTime);
    if (isNaN(at)) continue;
    const text = told(at);
    if (t.textContent !== text) t.textContent = text;
    if (!t.title) t.title = exact.format(at);
  }
  for (const d of root.querySelectorAll('data[value]')) {
    d.textContent = Number(d.value).toLocaleString();
  }
}

// A live part of a page is replaced by what the server shows of it now; in a list of
// rows only those that differ, so that neither the focus nor a selection is lost.
let shown = null; // what the server sent last, by the name of the part

function parts(root) {
  const found = new Map();
  for (const part of root.querySelectorAll('[data-live]')) found.set(part.dataset.live, part);
  return found;
}

function remember(root) {
  shown = new Map();
  for (const [name, part] of parts(root)) {
    const rows = new Map();
    for (const row of part.querySelectorAll('[data-rows] tbody > tr[id]')) rows.set(row.id, row.outerHTML);
    shown.set(name, {html: part.innerHTML, rows});
  }
}

function keepFocus(change) {
  const focused = document.activeElement;
  const href = focused && focused.getAttribute && focused.getAttribute('href');
  const id = focused && focused.id;
  change();
  if (document.activeElement === focused || focused === document.body) return;
  const again = id && document.getElementById(id) || href && document.querySelector(`main a[href="${CSS.escape(href)}"]`);
  if (again) again.focus({preventScroll: true});
}

function replace(fresh) {
  const now = parts(document);
  const before = shown;
  remember(fresh);
  let changed = 0;
  for (const [name, part] of parts(fresh)) {
    const here = now.get(name);
    const was = before && before.get(name);
    if (!here || was && was.html === shown.get(name).html) continue;
    changed++;
    const rows = shown.get(name).rows;
    const same = was && rows.size > 0 && rows.size === was.rows.size && [...rows.keys()].join() === [...was.rows.keys()].join();
    keepFocus(() => {
      if (same) {
        for (const [id, html] of rows) {
          if (was.rows.get(id) === html) continue;
          const row = fresh.getElementById(id);
          row.classList.add('fresh');
          document.getElementById(id).replaceWith(document.adoptNode(row));
        }
        const counts = part.querySelector('.phases'), old = here.querySelector('.phases');
        if (counts && old) old.replaceWith(document.adoptNode(counts));
      } else {
        here.replaceWith(document.adoptNode(part));
      }
    });
  }
  localize(document);
  return changed;
}

let loading = null;

async function load(address, quiet) {
  if (loading) loading.abort();
  const mine = loading = new AbortController();
  try {
    const answer = await fetch(address, {headers: quiet ? refreshHeader : {}, signal: mine.signal});
    if (answer.status === 401 || answer.redirected && new URL(answer.url).pathname === '/console/sign-in') {
      location.reload();
      return;
    }
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const changed = replace(fresh);
    if (changed && quiet) announce();
    document.documentElement.dataset.loads = String(Number(document.documentElement.dataset.loads || 0) + 1);
  } catch (e) {
    if (e.name !== 'AbortError') console.warn('not refreshed', e.message);
  } finally {
    if (loading === mine) loading = null;
  }
}

function announce() {
  const phases = [...document.querySelectorAll('.phases a')].map(a => a.textContent.trim().replace(/\s+/g, ' '));
  const state = document.querySelector('.state h2');
  const text = phases.length ? 'Updated. ' + phases.join(', ') : state ? 'Now ' + state.textContent.trim() : 'Updated.';
  const news = document.getElementById('news');
  if (news.textContent !== text) news.textContent = text;
}

// The stream is open only while somebody looks: browsers have few connections to a host.
let stream = null;

function follow() {
  if (!document.querySelector('[data-live]') || new URLSearchParams(location.search).has('wait')) return;
  if (document.hidden) {
    if (stream) stream.close();
    stream = null;
    return;
  }
  if (stream) return;
  stream = new EventSource('/console/live');
  stream.onopen = () => {
    load(location.href, true); // what changed before it was open, or while it was cut
    document.documentElement.dataset.live = 'yes';
  };
  stream.addEventListener('change', () => load(location.href, true));
  stream.onerror = () => {
    document.documentElement.dataset.live = 'no';
    if (stream && stream.readyState === EventSource.CLOSED) {
      stream = null;
      setTimeout(() => { load(location.href, true); follow(); }, 10000);
    }
  };
}

// Search as one types.
function searching(form) {
  let timer = 0;
  form.querySelector('input[type=search]').addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      const query = new URLSearchParams(new FormData(form));
      if (!query.get('q')) query.delete('q');
      const address = form.action + (query.size ? '?' + query : '');
      history.replaceState(null, '', address);
      load(address, false);
    }, 120);
  });
}

// What is wrong with a text, as one types.
function checking(form) {
  const out = form.querySelector('#checked'), text = form.querySelector('textarea');
  let timer = 0, asked = null;
  async function check() {
    if (asked) asked.abort();
    const mine = asked = new AbortController();
    const body = new URLSearchParams(new FormData(form));
    try {
      const answer = await fetch('/console/check', {method: 'POST', body, headers: {'X-Console-Refresh': 'typed'}, signal: mine.signal});
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').body;
      if (out.textContent === fresh.textContent) return;
      out.replaceChildren(...fresh.childNodes);
      text.setAttribute('aria-invalid', String(!!out.querySelector('.problems')));
    } catch (e) {
      if (e.name !== 'AbortError') console.warn('not checked', e.message);
    }
  }
  text.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(check, 250); });
  let sent = false;
  form.addEventListener('submit', () => { sent = true; });
  const before = text.value;
  addEventListener('beforeunload', e => { if (!sent && text.value !== before) e.preventDefault(); });
}

function copying(button) {
  if (!navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = 'Copied';
  });
}

remember(document);
localize(document);
document.querySelectorAll('[data-search]').forEach(searching);
document.querySelectorAll('[data-check]').forEach(checking);
document.querySelectorAll('[data-copy]').forEach(copying);
follow();
document.addEventListener('visibilitychange', () => { follow(); if (!document.hidden && shown.size) load(location.href, true); });
addEventListener('pagehide', () => { if (stream) stream.close(); stream = null; });
setInterval(() => localize(document), 30000);
