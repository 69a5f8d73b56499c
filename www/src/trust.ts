// Judges the signatures of a narinfo.

import { trustedKeys } from './settings';
import type { NarInfo } from './wasm';

export interface Verdict {
  kind: 'good' | 'warn' | 'bad';
  title: string;
  detail: string;
  each: { kind: Verdict['kind']; text: string }[];
}

const COVERS = 'The signature covers the store path, NarHash, NarSize and references. It doesn’t cover the entries: any source is fine if the NAR has this hash.';

/** Checks each signature with the user's keys. */
export function verdict(info: NarInfo): Verdict {
  const keys = trustedKeys();
  try {
    const signatures = info.signatures(keys);
    const each = signatures.map(({ signer, code }) => line(signer, code));
    const signers = (wanted: string | undefined) => signatures.filter(({ code }) => code === wanted).map(({ signer }) => short(signer));
    const good = signers(undefined);
    const bad = signers('TRUST_BAD');
    const incomplete = signers('TRUST_INCOMPLETE');
    const unknown = signers('TRUST_UNKNOWN_KEY');
    if (good.length > 0) return { kind: 'good', title: `Signed by ${good.join(' and ')}, which you trust`, detail: COVERS, each };
    if (bad.length > 0) {
      const detail = 'The signature names a key that you trust, but that key didn’t sign this narinfo. Someone changed it after it was signed, or it was damaged. Don’t install the item.';
      return { kind: 'bad', title: `Bad signature in the name of ${bad.join(' and ')}`, detail, each };
    }
    if (incomplete.length > 0) {
      const detail = 'You trust the key, but its signature doesn’t cover the store path, NarHash, NarSize and references. Someone put other lines below it. Don’t install the item.';
      return { kind: 'bad', title: `Incomplete signature by ${incomplete.join(' and ')}`, detail, each };
    }
    if (unknown.length > 0) {
      const detail = 'Without the key, the inspector can’t check the signature. If you trust the owner of the key, add it under Keys.';
      return { kind: 'warn', title: `Signed by ${unknown.join(' and ')}, a key that you don’t trust`, detail, each };
    }
    if (signatures.length > 0) return { kind: 'bad', title: 'The signature can’t be read', detail: 'It has neither the format of Guix’s signatures nor that of Nix’s.', each };
    return { kind: 'warn', title: 'Not signed', detail: 'Nobody vouches for this narinfo.', each };
  } finally {
    keys.free();
  }
}

/** Shortens the long fingerprint of a Guix key. */
export function short(signer: string): string {
  return signer.length > 40 && !signer.includes('-') ? `the Guix key ${signer.slice(0, 16)}…` : signer;
}

function line(signer: string, code: string | undefined): Verdict['each'][number] {
  const name = short(signer);
  switch (code) {
    case undefined:
      return { kind: 'good', text: `${name}: valid, and you trust the key` };
    case 'TRUST_UNKNOWN_KEY':
      return { kind: 'warn', text: `${name}: unknown key` };
    case 'TRUST_INCOMPLETE':
      return { kind: 'bad', text: `${name}: doesn’t cover all fields that it must cover` };
    case 'TRUST_BAD':
      return { kind: 'bad', text: `${name}: bad, this key didn’t sign the narinfo` };
    default:
      return { kind: 'bad', text: 'a signature that can’t be read' };
  }
}
