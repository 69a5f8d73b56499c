// Opens a page in Chromium, with the npm package at /interplanar.js.

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

/**
 * Runs a function in such a page, and returns its result. The function is sent as text, so it can
 * use only its argument. The page serves further scripts by their paths.
 */
export async function inPage(folder, run, argument, scripts = {}) {
  const files = {
    "/": ["text/html", "<!DOCTYPE html><title>interplanar</title>"],
    "/interplanar.js": ["text/javascript", readFileSync(join(folder, "interplanar.js"))],
    "/interplanar_bg.wasm": ["application/wasm", readFileSync(join(folder, "interplanar_bg.wasm"))],
    ...Object.fromEntries(Object.entries(scripts).map(([path, script]) => [path, ["text/javascript", script]])),
  };
  const server = createServer((request, response) => {
    const [type, content] = files[request.url] ?? ["text/plain", ""];
    response.writeHead(content ? 200 : 404, { "Content-Type": type });
    response.end(content);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    return await page.evaluate(run, argument);
  } finally {
    await browser.close();
    server.close();
  }
}
