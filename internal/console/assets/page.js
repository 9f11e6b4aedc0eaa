// What all pages share: times in the visitor's own zone, and fetching anew what
// the page shows. Its text is made in one place: on the server.

const language = document.documentElement.lang;

export function localTimes(root) {
  const format = new Intl.DateTimeFormat(language, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
  for (const time of root.querySelectorAll('time[datetime]')) {
    time.title = time.textContent;
    time.textContent = format.format(new Date(time.dateTime));
  }
}

// fetchPage is this page as it is now; undefined if it cannot be had. Who was
// signed out meanwhile is sent to the login.
export async function fetchPage() {
  const answer = await fetch(location.href, { headers: { Accept: 'text/html' } });
  if (answer.redirected) location.reload();
  if (!answer.ok || answer.redirected) return undefined;
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
  localTimes(fresh);
  return fresh;
}

// takeOver makes a part of the page what it is now, and leaves alone what has not
// changed: a button under somebody's finger stays.
function takeOver(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  const alike = old.nodeName === fresh.nodeName && fresh.nodeType === Node.ELEMENT_NODE && old.childNodes.length === fresh.childNodes.length && old.children.length;
  if (!alike || !old.cloneNode(false).isEqualNode(fresh.cloneNode(false))) {
    old.replaceWith(fresh);
    return;
  }
  const parts = [...fresh.childNodes];
  for (const [i, part] of [...old.childNodes].entries()) takeOver(part, parts[i]);
}

// armed tells that a button waits for its second press, which it must not lose.
const armed = () => document.querySelector('[data-armed]');

// refresh shows the page's main part as it is now; unless tells when not to.
export async function refresh(unless = () => false) {
  const fresh = await fetchPage();
  if (fresh && !unless()) takeOver(document.getElementById('shown'), fresh.getElementById('shown'));
}

// keepFresh refreshes the page when something happens on any call, at most once a
// second, and every five seconds: phones come and go without a call. A page that
// nobody looks at rests.
export function keepFresh() {
  let last = 0;
  let planned = 0;
  const soon = () => {
    if (planned || document.hidden || armed()) return;
    planned = setTimeout(async () => {
      try {
        await refresh(armed);
      } finally {
        last = Date.now();
        planned = 0;
      }
    }, Math.max(50, last + 1000 - Date.now()));
  };
  new EventSource('/api/v1/events').onmessage = soon;
  setInterval(soon, 5000);
  document.addEventListener('visibilitychange', soon);
}
