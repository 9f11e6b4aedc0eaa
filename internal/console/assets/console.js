// What the pages do beyond HTML: local times, a live call, the player. Each
// part works on what the server rendered; without JavaScript the page is still
// whole, only not alive.

import { fetchPage, keepFresh, localTimes, refresh } from './page.js';
import { startDeeds } from './deeds.js';
import { startPlayer } from './player.js';

// followCall fetches the page anew when something happened, and takes over the
// parts that differ. The text is made in one place: on the server.
function followCall(page) {
  let shown = Number(page.dataset.seq);
  let wanted = shown;
  let busy = false;
  const query = page.dataset.query;
  const source = new EventSource(`/api/v1/events?call=${page.dataset.call}${query ? `&${query}` : ''}`);

  async function update() {
    if (busy || wanted <= shown) return;
    busy = true;
    try {
      const fresh = await fetchPage();
      const article = fresh?.getElementById('call');
      if (!article) return;
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
      if (wanted > shown) setTimeout(update, 200);
    }
  }

  source.onmessage = (message) => {
    wanted = Math.max(wanted, JSON.parse(message.data).seq);
    setTimeout(update, 50); // what comes together is shown together
  };
}

localTimes(document);
startDeeds(refresh);
if (document.querySelector('[data-live]')) keepFresh();
const page = document.getElementById('call');
if (page) {
  startPlayer(page);
  if (!('over' in page.dataset)) followCall(page);
}
