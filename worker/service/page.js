// The page of the service worker: settings, links, update, removal.
import { register } from './interplanar.js';

const NAMES = ['GATEWAYS', 'LOCAL_GATEWAY', 'UPSTREAMS', 'TRUSTED_KEYS', 'GUIX_ACL'];
const at = (id) => document.getElementById(id);
const showStatus = (text) => {
  at('status').textContent = text;
};
// Wraps an action of the page, and shows its result or its error.
const act = (work) => async (event) => {
  event.preventDefault();
  try {
    showStatus((await work()) ?? 'Done.');
  } catch (error) {
    showStatus(String(error.message ?? error));
  }
};

const interplanar = await register({
  onUpdate: (takeOver) => {
    showStatus('A new version is available. Press “Update” to start it.');
    at('update').addEventListener('click', takeOver, { once: true });
  },
});
const show = async () => {
  const settings = await interplanar.settings();
  for (const name of NAMES) at(name).value = settings[name] ?? '';
  const { version, build } = await interplanar.version();
  return `Version ${version} (${build}) is ready.`;
};
at('settings').addEventListener(
  'submit',
  act(() => interplanar.configure(Object.fromEntries(NAMES.map((name) => [name, at(name).value])))),
);
at('open').addEventListener(
  'submit',
  act(() => {
    const text = at('address').value.trim().replace(/^(web\+)?ipfs:(\/\/)?|^\/ipfs\//, '');
    location.href = `/ipfs/${text}`;
    return 'Opening…';
  }),
);
at('links').addEventListener('click', act(() => interplanar.openLinks()));
at('update').addEventListener('click', act(() => interplanar.update().then(() => 'Checked for a new version.')));
at('kill').addEventListener('click', act(() => interplanar.kill().then(() => 'Removed. Reload the page to install it again.')));
showStatus(await show());
