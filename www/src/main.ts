// Shows the view for the address. Opening another view aborts the work of the one before.

import { UserError } from './cache';
import { h, problem, replace } from './dom';
import { takeDrops } from './dropped';
import { offline } from './offline';
import { parse, type Route } from './route';
import { errorText } from './wasm';
import { cacheView } from './views/cache';
import { gatewaysView } from './views/gateways';
import { healthView } from './views/health';
import { close, itemView } from './views/item';
import { keysView } from './views/keys';
import { openView } from './views/open';

const main = document.getElementById('main') as HTMLElement;
let aborter = new AbortController();
let shown: string | undefined;

async function view(route: Route, signal: AbortSignal): Promise<void> {
  const cache = route.query.get('cache') ?? '';
  switch (route.parts[0]) {
    case undefined:
      return openView(main);
    case 'cache':
      return cacheView(main, cache, route.query.get('name') ?? '', signal);
    case 'item':
    case 'ipfs':
    case 'file':
      return itemView(main, route, signal);
    case 'health':
      return healthView(main, cache, signal);
    case 'keys':
      return keysView(main);
    case 'gateways':
      return gatewaysView(main);
    default:
      throw new UserError('This page doesn’t exist', 'Perhaps the address was cut off when it was copied.');
  }
}

async function show(): Promise<void> {
  aborter.abort();
  aborter = new AbortController();
  const { signal } = aborter;
  const route = parse(location.hash);
  const item = ['item', 'ipfs', 'file'].includes(route.parts[0] ?? '');
  if (!item) close();
  const focused = document.activeElement;
  // Within an item, the page doesn't scroll to the top.
  const place = item ? `${route.parts[0]}/${route.parts[1]}` : location.hash;
  if (place !== shown) replace(main, h('p', { class: 'quiet', role: 'status' }, 'Loading…'));
  // An element that is still on the page keeps the focus although the page around it is drawn
  // again: at once, and again when the view is complete.
  const keep = () => {
    const stays = place === shown && !signal.aborted && focused instanceof HTMLElement && focused.isConnected;
    if (stays && document.activeElement === document.body) focused.focus({ preventScroll: true });
  };
  requestAnimationFrame(keep);
  try {
    await view(route, signal);
  } catch (error) {
    if (signal.aborted) return;
    replace(main, h('h1', {}, error instanceof UserError ? error.title : 'This didn’t work'), problem('What happened', errorText(error)), h('p', {}, h('a', { href: '#/' }, 'Open something else')));
  }
  if (signal.aborted) return;
  const title = main.querySelector('h1')?.textContent;
  document.title = title && route.parts.length > 0 ? `${title} · Cache inspector` : 'Cache inspector';
  // Screen readers start at the beginning of a new page.
  if (shown !== undefined && place !== shown) main.focus({ preventScroll: true });
  else keep();
  shown = place;
}

takeDrops((error) => {
  main.querySelector('.undropped')?.remove();
  main.prepend(h('div', { class: 'undropped' }, problem(error instanceof UserError ? error.title : 'Can’t open this file', errorText(error))));
  scrollTo(0, 0);
});
addEventListener('hashchange', () => void show());
void show();
offline();
