// The same in Chromium: job { package, gateway, cid, rounds }; result { plain, ours, start }: milliseconds, a list each.
// `start` is from the beginning of instantiation (the module compiled by then or not) to the first verified byte of a kept block.

import { job, result } from "./lib.mjs";
import { inPage } from "./page.mjs";

const { package: folder, gateway, cid, rounds } = job();
const measured = await inPage(
  folder,
  async ({ gateway, cid, rounds }) => {
    const drain = async (stream) => {
      for (const reader = stream.getReader(); ; ) {
        if ((await reader.read()).done) {
          return;
        }
      }
    };
    const timed = async (work) => {
      const start = performance.now();
      await work();
      return performance.now() - start;
    };
    const api = await import("/interplanar.js");
    const hello = { get: () => new TextEncoder().encode("hello world"), put: () => {} };
    const block = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
    const first = await timed(async () => {
      await api.default();
      await drain(api.fetchIpfs(`ipfs://${block}`, new api.Gateways([]), { blocks: hello }));
    });
    const plain = [];
    const ours = [];
    for (let round = 0; round < rounds; round += 1) {
      const get = async () => drain((await fetch(`${gateway}/ipfs/${cid}`, { cache: "no-store" })).body);
      plain.push(await timed(get));
      ours.push(await timed(() => drain(api.fetchIpfs(`ipfs://${cid}`, new api.Gateways([gateway])))));
    }
    return { plain, ours, start: [first] };
  },
  { gateway, cid, rounds },
);
result(measured);
