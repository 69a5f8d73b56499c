// What the signatures of a narinfo are worth, in words.

import { trustedKeys } from './state';
import type { NarInfo } from './wasm';

export interface Verdict {
  kind: 'good' | 'warn' | 'bad';
  /** One line. */
  title: string;
  detail: string;
  each: { kind: Verdict['kind']; text: string }[];
}

const COVERS = 'The signature covers the store path, NarHash, NarSize and the references. It does not cover the entries: where the NAR is fetched from doesn’t matter, as long as it has this hash.';

/** Checks each signature by the keys that the user keeps. */
export function verdict(info: NarInfo): Verdict {
  const keys = trustedKeys();
  try {
    const signatures = info.signatures(keys);
    const each = signatures.map(({ signer, code }) => line(signer, code));
    const signers = (wanted: string | undefined) => signatures.filter(({ code }) => code === wanted).map(({ signer }) => short(signer));
    const good = signers(undefined);
    const bad = signers('TRUST_BAD');
    const unknown = signers('TRUST_UNKNOWN_KEY');
    if (good.length > 0) return { kind: 'good', title: `Signed by ${good.join(' and ')}, which you trust`, detail: COVERS, each };
    if (bad.length > 0) {
      const detail = 'It names a key that you trust, but that key did not sign what it says. Someone changed it after it was signed, or it was damaged. Don’t install it.';
      return { kind: 'bad', title: `Bad signature in the name of ${bad.join(' and ')}`, detail, each };
    }
    if (unknown.length > 0) {
      const detail = 'Whether the signature is right can’t be said without the key. If you trust whoever holds it, add it under Keys.';
      return { kind: 'warn', title: `Signed by ${unknown.join(' and ')}, a key that you don’t trust`, detail, each };
    }
    if (signatures.length > 0) return { kind: 'bad', title: 'The signature can’t be read', detail: 'It has not the form of Guix’s or Nix’s signatures.', each };
    return { kind: 'warn', title: 'Not signed', detail: 'Nobody vouches for what this narinfo says.', each };
  } finally {
    keys.free();
  }
}

/** Fingerprints of Guix keys are long. */
export function short(signer: string): string {
  return signer.length > 40 && !signer.includes('-') ? `the Guix key ${signer.slice(0, 16)}…` : signer;
}

function line(signer: string, code: string | undefined): Verdict['each'][number] {
  const name = short(signer);
  switch (code) {
    case undefined:
      return { kind: 'good', text: `${name}: right, by a key that you trust` };
    case 'TRUST_UNKNOWN_KEY':
      return { kind: 'warn', text: `${name}: unknown key` };
    case 'TRUST_BAD':
      return { kind: 'bad', text: `${name}: bad, this key did not sign it` };
    default:
      return { kind: 'bad', text: 'a signature that can’t be read' };
  }
}
