// What buttons and forms do: they ask the API with the visitor's own session,
// and the page is then fetched anew. They say what to ask in their attributes:
//
//   data-deed   "POST webhooks/7/test": the method and the path below /api/v1
//   data-body   the body, JSON; a form's is made of its visible fields, and left
//               out what is empty
//   data-keep   names of what the body takes over from what is there now
//   data-sure   a button's second text: only a second press does it
//   data-notice what to say afterwards, with {names} from the answer
//   data-good, data-bad   what the output beside it says of an answer instead,
//   data-ok     by the name of the field that tells which; the page stays
//   data-stay   the page stays

class Refused extends Error {
  constructor(told) {
    const [first] = told.errors ?? [];
    super(first ? `${first.location}: ${first.message}` : told.detail);
    this.fields = told.errors ?? [];
  }
}

async function ask(method, path, body) {
  const answer = await fetch(`/api/v1/${path}`, {
    method, headers: { 'Content-Type': 'application/json' }, body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  const told = text ? JSON.parse(text) : {};
  if (!answer.ok) throw new Refused(told);
  return told;
}

const fill = (text, told) => text.replace(/\{(\w+)\}/g, (_, name) => told[name] ?? '');

// counts tells whether a field goes into the body.
const counts = (field) => field.name && !('local' in field.dataset) && (field.type === 'hidden' ? field.parentElement : field).checkVisibility();

// bodyOf makes an object of the fields that are to be seen.
function bodyOf(form) {
  const body = {};
  for (const { name, type, value, checked, dataset } of [...form.elements].filter(counts)) {
    if (type === 'radio' && !checked) continue;
    if (type === 'checkbox' && !('many' in dataset)) body[name] = checked;
    else if (type === 'checkbox') body[name] = [...(body[name] ?? []), ...(checked ? [value] : [])];
    else if (!value.trim()) continue;
    else if (type === 'number') body[name] = Number(value);
    else if ('list' in dataset) body[name] = value.split(/[\s,;]+/).filter(Boolean);
    else body[name] = value.trim();
  }
  return body;
}

// sayWrong puts what is wrong beside the field that it is about, and returns
// what belongs to none.
function sayWrong(form, fields) {
  return fields.filter(({ location, message }) => {
    const name = location.replace(/^body\./, '').replace(/[[.].*$/, '');
    const field = [...form.elements].find((f) => f.name === name && f.checkVisibility());
    if (!field) return true;
    field.setAttribute('aria-invalid', 'true');
    const said = document.createElement('span');
    said.className = 'wrong';
    said.textContent = message;
    field.after(said);
    return false;
  });
}

function show(id, text) {
  const line = document.getElementById(id);
  line.textContent = text;
  line.hidden = !text;
  if (text) line.scrollIntoView({ block: 'nearest' });
}

// sayResult tells how a trial went, and what may help.
function sayResult(doer, told) {
  const good = told[doer.dataset.ok];
  const output = doer.parentElement.querySelector('output');
  output.className = good ? 'good' : 'bad';
  output.textContent = fill(good ? doer.dataset.good : doer.dataset.bad, told);
  for (const hint of document.querySelectorAll('[data-hint]')) hint.hidden = good || !told.error.includes(hint.dataset.hint);
}

async function act(doer, body, refresh) {
  const { deed, keep, notice, ok } = doer.dataset;
  const [method, path] = deed.split(' ');
  let asked = body;
  if (keep) {
    const now = await ask('GET', path);
    asked = { ...Object.fromEntries(keep.split(' ').map((name) => [name, now[name]])), ...body };
  }
  const told = await ask(method, path, asked);
  if (ok) {
    sayResult(doer, told);
    return;
  }
  if (!('stay' in doer.dataset)) await refresh();
  if (notice) show('notice', fill(notice, told));
}

// run does it once, and says what went wrong.
async function run(doer, button, body, refresh) {
  show('problem', '');
  show('notice', '');
  for (const old of doer.querySelectorAll('.wrong')) old.remove();
  for (const field of doer.querySelectorAll('[aria-invalid]')) field.removeAttribute('aria-invalid');
  const output = doer.dataset.ok && doer.parentElement.querySelector('output');
  if (output) output.textContent = '…';
  button.disabled = true;
  try {
    await act(doer, body, refresh);
  } catch (error) {
    if (output) output.textContent = '';
    const left = doer.elements && error.fields ? sayWrong(doer, error.fields) : error.fields;
    if (!left || left.length || !error.fields.length) show('problem', error.message);
  } finally {
    button.disabled = false;
  }
}

// sure tells that a button which asks twice was pressed twice.
function sure(button) {
  if (!button.dataset.sure || 'armed' in button.dataset) return true;
  const text = button.textContent;
  button.dataset.armed = '';
  button.textContent = button.dataset.sure;
  setTimeout(() => {
    delete button.dataset.armed;
    button.textContent = text;
  }, 5000);
  return false;
}

// startDeeds listens to all buttons and forms that there are and will be.
export function startDeeds(refresh) {
  document.addEventListener('click', (event) => {
    const button = event.target.closest('button[data-deed]');
    if (button && sure(button)) run(button, button, button.dataset.body && JSON.parse(button.dataset.body), refresh);
  });
  document.addEventListener('submit', (event) => {
    const form = event.target.closest('form[data-deed]');
    if (!form) return;
    event.preventDefault();
    run(form, event.submitter ?? form, { ...bodyOf(form), ...JSON.parse(form.dataset.body ?? '{}') }, refresh);
  });
}
