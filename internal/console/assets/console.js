// What the pages do beyond HTML: local times, a live call, the player. Each
// part works on what the server rendered; without JavaScript the page is still
// whole, only not alive.

import { startPlayer } from './player.js';
import { startDeliveries } from './deliveries.js';

const language = document.documentElement.lang;

function localTimes(root) {
  const format = new Intl.DateTimeFormat(language, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
  for (const time of root.querySelectorAll('time[datetime]')) {
    time.title = time.textContent;
    time.textContent = format.format(new Date(time.dateTime));
  }
}

// followCall fetches the page anew when something happened, and takes over the
// parts that differ. The text is made in one place: on the server.
function followCall(page) {
  let shown = Number(page.dataset.seq);
  let wanted = shown;
  let busy = false;
  const query = page.dataset.query;
  const source = new EventSource(`/api/v1/events?call=${page.dataset.call}${query ? `&${query}` : ''}`);

  async function refresh() {
    if (busy || wanted <= shown) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: 'text/html' } });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const article = fresh.getElementById('call');
      if (!article) return; // signed out meanwhile: the login form
      localTimes(fresh);
      for (const part of article.children) {
        const old = document.getElementById(part.id);
        if (old && old.innerHTML !== part.innerHTML && !(part.id === 'player' && old.children.length)) {
          old.replaceChildren(...part.childNodes);
          if (part.id === 'player') startPlayer(page);
        }
      }
      document.title = fresh.title;
      shown = Math.max(shown, Number(article.dataset.seq));
      if ('over' in article.dataset) {
        page.dataset.over = '';
        source.close();
      }
    } finally {
      busy = false;
      if (wanted > shown) setTimeout(refresh, 200);
    }
  }

  source.onmessage = (message) => {
    wanted = Math.max(wanted, JSON.parse(message.data).seq);
    setTimeout(refresh, 50); // what comes together is shown together
  };
}

localTimes(document);
startDeliveries(localTimes);
const page = document.getElementById('call');
if (page) {
  startPlayer(page);
  if (!('over' in page.dataset)) followCall(page);
}
