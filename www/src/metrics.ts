// What `interplanar publish` says of itself at /metrics, and what was heard of it while this page is open.

import { get, limited } from './cache';

const MAX_METRICS = 1 << 20;
/** An hour of points, one in five seconds. */
const MAX_SAMPLES = 720;

export const EVERY_MS = 5_000;

export interface Sample {
  /** Milliseconds, of a clock that doesn’t go back. */
  at: number;
  values: Map<string, number>;
}

/** By cache; gone with the page. */
const heard = new Map<string, Sample[]>();

export const samples = (cache: string): Sample[] => heard.get(cache) ?? [];

/** Samples of Prometheus’ text format: name with labels, and value. */
export function parse(text: string): Map<string, number> {
  const lines = text.split('\n').flatMap((line) => {
    const found = /^([a-zA-Z_:][\w:]*(?:\{[^}]*\})?)\s+([-+0-9.eE]+)/.exec(line);
    return found?.[1] && found[2] ? [[found[1], Number(found[2])] as const] : [];
  });
  return new Map(lines);
}

/** Asks once more; `undefined` of a cache that has no metrics of ours. */
export async function ask(cache: string, signal: AbortSignal): Promise<Sample | undefined> {
  const response = await get(`${cache}metrics`, 'its metrics', signal);
  const values = response && parse(new TextDecoder().decode(await limited(response, MAX_METRICS)));
  if (!values?.has('interplanar_baked_total')) return undefined;
  const sample = { at: performance.now(), values };
  heard.set(cache, [...samples(cache), sample].slice(-MAX_SAMPLES));
  return sample;
}

/** How fast a counter rose before each sample, a second; a server that was started anew counts from zero. */
export function rates(all: Sample[], value: (sample: Sample) => number): number[] {
  return all.map((sample, index) => {
    const before = all[index - 1];
    if (!before) return 0;
    const rise = value(sample) - value(before);
    return ((rise < 0 ? value(sample) : rise) * 1000) / Math.max(1, sample.at - before.at);
  });
}
