// The buttons of the page of webhooks and deliveries. They ask the API with the
// visitor's own session, and what the page shows is then fetched anew: its text
// is made in one place, on the server.

async function ask(method, path, body) {
  const answer = await fetch(`/api/v1/${path}`, {
    method, headers: { 'Content-Type': 'application/json' }, body: body && JSON.stringify(body),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.errors?.[0]?.message ?? told.detail);
  return told;
}

// press does what a button is for, once, and says what went wrong.
function press(button, deed) {
  button.addEventListener('click', async () => {
    const problem = document.getElementById('problem');
    problem.hidden = true;
    button.disabled = true;
    try {
      await deed();
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    } finally {
      button.disabled = false;
    }
  });
}

async function refresh(localTimes) {
  const answer = await fetch(location.href, { headers: { Accept: 'text/html' } });
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
  localTimes(fresh);
  document.querySelector('main').replaceChildren(...fresh.querySelector('main').childNodes);
  startDeliveries(localTimes);
}

async function enable(id, enabled) {
  const { url, events, directions, description } = await ask('GET', `webhooks/${id}`);
  await ask('PUT', `webhooks/${id}`, { url, events, directions, description, enabled });
}

export function startDeliveries(localTimes) {
  for (const row of document.querySelectorAll('[data-delivery]')) {
    for (const button of row.querySelectorAll('[data-deed]')) {
      press(button, async () => {
        await ask('POST', `deliveries/${row.dataset.delivery}/${button.dataset.deed}`);
        await refresh(localTimes);
      });
    }
  }
  for (const row of document.querySelectorAll('[data-webhook]')) {
    const id = row.dataset.webhook;
    const told = row.querySelector('output');
    press(row.querySelector('[data-test]'), async () => {
      told.textContent = '…';
      try {
        const { delivered, status, error, elapsed_ms: elapsed } = await ask('POST', `webhooks/${id}/test`);
        told.className = delivered ? 'good' : 'bad';
        told.textContent = delivered ? `✓ ${status}, ${elapsed} ms` : `✗ ${error}`;
      } catch (error) {
        told.textContent = '';
        throw error;
      }
    });
    const toggle = row.querySelector('[data-enable]');
    press(toggle, async () => {
      await enable(id, toggle.dataset.enable === 'true');
      await refresh(localTimes);
    });
  }
}
