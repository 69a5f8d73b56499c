// For pages: registers the service worker and talks to it.
//
//   import { register } from '/interplanar.js';
//   const interplanar = await register({ onUpdate: (takeOver) => confirm('Update?') && takeOver() });
//   const response = await fetch('/ipfs/bafy…/file');

/** Registers the worker and waits until it answers this page's requests. `onUpdate` hears of a new version that waits. */
export async function register({ script = '/sw.js', scope = '/', onUpdate } = {}) {
  const registration = await navigator.serviceWorker.register(script, { scope, updateViaCache: 'none' });
  const tell = () => {
    const { waiting } = registration;
    if (waiting && navigator.serviceWorker.controller) onUpdate?.(() => ask(waiting, 'takeOver'));
  };
  registration.addEventListener('updatefound', () => {
    registration.installing?.addEventListener('statechange', tell);
  });
  tell();
  await navigator.serviceWorker.ready;
  await controlled();
  return new Interplanar(registration);
}

/** The worker that answers this page. */
export class Interplanar {
  #registration;

  constructor(registration) {
    this.#registration = registration;
  }

  /** `{ build, version }` of the worker. */
  version() {
    return ask(navigator.serviceWorker.controller, 'version');
  }

  /** The settings; names and meanings are those of worker/src/config.rs. */
  settings() {
    return ask(navigator.serviceWorker.controller, 'settings');
  }

  /** Changes the settings; what can't be used is an Error, and changes nothing. */
  configure(settings) {
    return ask(navigator.serviceWorker.controller, 'configure', settings);
  }

  /** Looks for a new version. */
  update() {
    return this.#registration.update();
  }

  /** Removes the worker and all that it kept. */
  kill() {
    return ask(this.#registration.active, 'kill');
  }

  /** Lets the browser open `web+ipfs:` links here; it asks its user. */
  openLinks() {
    navigator.registerProtocolHandler('web+ipfs', `${location.origin}/ipfs/?uri=%s`);
  }
}

function controlled() {
  if (navigator.serviceWorker.controller) return undefined;
  return new Promise((resolve) => {
    navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true });
  });
}

function ask(worker, command, argument) {
  return new Promise((resolve, reject) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data }) => (data.error === undefined ? resolve(data.result) : reject(new Error(data.error)));
    worker.postMessage({ command, argument }, [port2]);
  });
}
