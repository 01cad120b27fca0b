/** Says what the build weighs gzipped, and fails when it is more than the dashboard may weigh. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const LIMIT = 300_000;
const folder = new URL("../../src/farthing/web/static/", import.meta.url).pathname;
const files = readdirSync(folder, { recursive: true }).filter((file) => /\.(js|css|html|svg)$/.test(file));
const sizes = files.map((file) => [file, gzipSync(readFileSync(join(folder, file))).length]);
const total = sizes.reduce((sum, [, size]) => sum + size, 0);
for (const [file, size] of [...sizes, ["in all", total]]) console.log(`${String(size).padStart(9)}  ${file}`);
process.exitCode = total < LIMIT ? 0 : 1;
