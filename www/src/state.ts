// What the user keeps: caches, keys and gateways, in this browser alone.

import { TrustedKeys } from './wasm';

const MAX_CACHES = 20;

/** A key as it was pasted: a Nix key, a Guix public key, or an access control list. */
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
    // Storage may be full or forbidden: then it is remembered until the page goes.
  }
}

/** The cache whose server this page came from, if it is one: `/inspect/` lies in it. */
export const home = new URL('../', location.href.replace(/[#?].*$/, '')).href;

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

/** The gateways that are asked; nothing is asked that the user did not name, but the server of the cache itself. */
export const gateways = (): string[] => read('gateways', []);

export function setGateways(list: string[]): void {
  write('gateways', list);
}

/** Those of the user, and the cache's own server, which has a gateway if it is `interplanar publish`. */
export function gatewaysFor(cache: string | undefined): string[] {
  const own = cache ? [new URL(cache).href.replace(/\/$/, '')] : [];
  return [...new Set([...gateways(), ...own])];
}

/** Adds a key to a set; throws for what is none. Says what it is. */
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

/** All keys that the user trusts. */
export function trustedKeys(): TrustedKeys {
  const trusted = new TrustedKeys();
  for (const key of keys()) {
    try {
      add(trusted, key.text);
    } catch {
      // Only keys that were read once are kept; a key that isn't one counts for nothing.
    }
  }
  return trusted;
}
