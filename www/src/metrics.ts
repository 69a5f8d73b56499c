// Reads the metrics of `interplanar publish`, and keeps the samples while this page is open.

import { get, readLimited } from './cache';

const MAX_METRICS = 1 << 20;
/** Samples of one hour, one every five seconds. */
const MAX_SAMPLES = 720;

export const EVERY_MS = 5_000;

export interface Sample {
  /** Milliseconds of a monotonic clock. */
  at: number;
  values: Map<string, number>;
}

/** Samples by cache; they are lost when the page closes. */
const samplesByCache = new Map<string, Sample[]>();

export const samples = (cache: string): Sample[] => samplesByCache.get(cache) ?? [];

/** Parses Prometheus' text format into names with labels, and values. */
export function parse(text: string): Map<string, number> {
  const lines = text.split('\n').flatMap((line) => {
    const found = /^([a-zA-Z_:][\w:]*(?:\{[^}]*\})?)\s+([-+0-9.eE]+)/.exec(line);
    return found?.[1] && found[2] ? [[found[1], Number(found[2])] as const] : [];
  });
  return new Map(lines);
}

/** Fetches a new sample. Returns `undefined` if the cache isn't `interplanar publish`. */
export async function ask(cache: string, signal: AbortSignal): Promise<Sample | undefined> {
  const response = await get(`${cache}metrics`, 'the metrics', signal);
  const values = response && parse(new TextDecoder().decode(await readLimited(response, MAX_METRICS)));
  if (!values?.has('interplanar_baked_total')) return undefined;
  const sample = { at: performance.now(), values };
  samplesByCache.set(cache, [...samples(cache), sample].slice(-MAX_SAMPLES));
  return sample;
}

/**
 * Returns the increase of a counter per second before each sample. A restarted server counts from
 * zero.
 */
export function rates(all: Sample[], value: (sample: Sample) => number): number[] {
  return all.map((sample, index) => {
    const before = all[index - 1];
    if (!before) return 0;
    const rise = value(sample) - value(before);
    return ((rise < 0 ? value(sample) : rise) * 1000) / Math.max(1, sample.at - before.at);
  });
}
