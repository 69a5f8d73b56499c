// The user's settings: caches, keys and gateways. They stay in this browser.

import { TrustedKeys } from './wasm';

const MAX_CACHES = 20;

/** A key as the user pasted it: a Nix key, a Guix public key, or an access control list. */
export interface Key {
  label: string;
  text: string;
}

function read<T>(name: string, fallback: T): T {
  try {
    const text = localStorage.getItem(`inspector.${name}`);
    return text === null ? fallback : (JSON.parse(text) as T);
  } catch {
    return fallback;
  }
}

function write(name: string, value: unknown): void {
  try {
    localStorage.setItem(`inspector.${name}`, JSON.stringify(value));
  } catch {
    // Storage may be full or forbidden. Then the setting is lost.
  }
}

/** The cache that serves this page under `/inspect/`, if that server is a cache. */
export const ownCache = new URL('../', location.href.replace(/[#?].*$/, '')).href;

export const caches = (): string[] => read('caches', []);

export function remember(cache: string): void {
  write('caches', [cache, ...caches().filter((other) => other !== cache)].slice(0, MAX_CACHES));
}

export function forget(cache: string): void {
  write('caches', caches().filter((other) => other !== cache));
}

export const keys = (): Key[] => read('keys', []);

export function setKeys(list: Key[]): void {
  write('keys', list);
}

/** The user's gateways. The inspector contacts only these and the cache's own server. */
export const gateways = (): string[] => read('gateways', []);

export function setGateways(list: string[]): void {
  write('gateways', list);
}

/**
 * Returns the user's gateways, and the cache's own server: `interplanar publish` has a gateway too.
 */
export function gatewaysFor(cache: string | undefined): string[] {
  const own = cache ? [new URL(cache).href.replace(/\/$/, '')] : [];
  return [...new Set([...gateways(), ...own])];
}

/** Adds a key to a set, and returns a label for it. Throws if the text isn't a key. */
export function add(trusted: TrustedKeys, text: string): string {
  const key = text.trim();
  if (!key.startsWith('(')) {
    for (const one of key.split(/\s+/)) trusted.addNix(one);
    return key.split(':')[0] ?? key;
  }
  if (/^\(\s*acl/.test(key)) return `Guix ACL with ${trusted.addGuixAcl(key)} keys`;
  trusted.addGuix(key);
  const point = /#([0-9A-Fa-f]+)#/.exec(key)?.[1] ?? '';
  return `Guix key ${point.slice(0, 16).toLowerCase()}…`;
}

/** Returns all keys that the user trusts. */
export function trustedKeys(): TrustedKeys {
  const trusted = new TrustedKeys();
  for (const key of keys()) {
    try {
      add(trusted, key.text);
    } catch {
      // Only valid keys are stored. Something else may have changed the storage; skip it.
    }
  }
  return trusted;
}
