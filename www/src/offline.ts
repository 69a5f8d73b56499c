// Registers the service worker that opens the inspector when its server is down.

// This URL is the only value of a trusted type that the inspector creates.
interface Policies {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): unknown };
}

export function offline(): void {
  if (!('serviceWorker' in navigator) || !isSecureContext) return;
  const policies = (globalThis as unknown as { trustedTypes?: Policies }).trustedTypes;
  const rules = {
    createScriptURL(url: string) {
      if (url !== './sw.js') throw new TypeError('the policy allows only ./sw.js');
      return url;
    },
  };
  const url = policies ? policies.createPolicy('interplanar', rules).createScriptURL('./sw.js') : './sw.js';
  navigator.serviceWorker.register(url as string, { scope: './' }).catch(() => {
    // Everything else works without the service worker.
  });
}
