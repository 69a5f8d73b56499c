// Registers the service worker that keeps the inspector for times without its server.

// Of the types that the policy guards only this URL is ever made.
interface Policies {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): unknown };
}

export function offline(): void {
  if (!('serviceWorker' in navigator) || !isSecureContext) return;
  const policies = (globalThis as unknown as { trustedTypes?: Policies }).trustedTypes;
  const rules = {
    createScriptURL(url: string) {
      if (url !== './sw.js') throw new TypeError('no such script');
      return url;
    },
  };
  const url = policies ? policies.createPolicy('interplanar', rules).createScriptURL('./sw.js') : './sw.js';
  navigator.serviceWorker.register(url as string, { scope: './' }).catch(() => {
    // Without it all works but for being offline.
  });
}
