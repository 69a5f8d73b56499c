// The API for pages: registers the service worker, and sends commands to it.
//
//   import { register } from '/interplanar.js';
//   const interplanar = await register({ onUpdate: (takeOver) => confirm('Update?') && takeOver() });
//   const response = await fetch('/ipfs/bafy…/file');

/**
 * Registers the worker, and waits until it answers this page's requests. `onUpdate` is called when
 * a new version waits; its argument activates that version.
 */
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

/** The worker that answers this page's requests. */
export class Interplanar {
  #registration;

  constructor(registration) {
    this.#registration = registration;
  }

  /** Returns `{ build, version }` of the worker. */
  version() {
    return ask(navigator.serviceWorker.controller, 'version');
  }

  /** Returns the settings. worker/src/config.rs explains them. */
  settings() {
    return ask(navigator.serviceWorker.controller, 'settings');
  }

  /** Changes the settings. Throws an Error and changes nothing if one is invalid. */
  configure(settings) {
    return ask(navigator.serviceWorker.controller, 'configure', settings);
  }

  /** Checks for a new version. */
  update() {
    return this.#registration.update();
  }

  /** Removes the worker and all its data. */
  kill() {
    return ask(this.#registration.active, 'kill');
  }

  /** Makes the browser open `web+ipfs:` links here. It asks the user first. */
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
