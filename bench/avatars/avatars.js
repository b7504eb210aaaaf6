// Draws a data set of avatars in colour: a folder of PNG files for each style, which is the class.
//
//   npm ci && node avatars.js --out DIR [--num 20000] [--size 128] [--first 0]
//
// Picture k is of style k mod 6 and depends on k and the size alone, so that sets of several sizes show the same avatars and a set can be
// enlarged (--first) or held out (other numbers) later. The styles of DiceBear used here are published under CC0 1.0. Files that exist are kept,
// which makes a stopped run go on; every file is written under another name and renamed when it is whole.
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createAvatar } from "@dicebear/core";
import { lorelei, notionists, openPeeps, pixelArt, shapes, thumbs } from "@dicebear/collection";
import { Resvg } from "@resvg/resvg-js";

const styles = Object.entries({
  "lorelei": lorelei, "notionists": notionists, "open-peeps": openPeeps, "pixel-art": pixelArt, "shapes": shapes, "thumbs": thumbs,
});

// Half of the styles are drawn in black and white: their backgrounds are what makes them a test of colour.
const backgrounds = ["b6e3f4", "c0aede", "d1d4f9", "ffd5dc", "ffdfbf", "a8e6cf", "f9f3a0", "f28b82"];

// draw returns the bytes of picture k as PNG of size × size pixels.
function draw(k, size) {
  const [name, style] = styles[k % styles.length];
  const options = { seed: `avatar ${k}` };
  if (name !== "shapes" && name !== "thumbs") options.backgroundColor = backgrounds; // those two have palettes of their own
  const svg = createAvatar(style, options).toString();
  return new Resvg(svg, { fitTo: { mode: "width", value: size }, background: "white", font: { loadSystemFonts: false } }).render().asPng();
}

function whole(name, text, least) {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least) throw new Error(`--${name} ${text} is not a whole number of at least ${least}`);
  return value;
}

function main() {
  const { values } = parseArgs({
    options: {
      out: { type: "string" }, num: { type: "string", default: "20000" }, size: { type: "string", default: "128" }, first: { type: "string", default: "0" },
    },
  });
  if (!values.out) throw new Error("--out DIR is missing");
  const num = whole("num", values.num, 1), size = whole("size", values.size, 8), first = whole("first", values.first, 0);
  for (const [name] of styles) mkdirSync(join(values.out, name), { recursive: true });
  const started = Date.now();
  let drawn = 0, told = started;
  for (let k = first; k < first + num; k++) {
    const path = join(values.out, styles[k % styles.length][0], `${String(k).padStart(7, "0")}.png`);
    if (!existsSync(path)) {
      const unfinished = `${path}.part`;
      writeFileSync(unfinished, draw(k, size));
      renameSync(unfinished, path);
      drawn++;
    }
    if (Date.now() - told > 5000) {
      told = Date.now();
      console.error(`${k + 1 - first} of ${num}, ${(1000 * drawn / (told - started)).toFixed(0)} pictures/s`);
    }
  }
  console.log(`${values.out}: ${drawn} of ${num} pictures drawn in ${((Date.now() - started) / 1000).toFixed(0)} s`);
}

try {
  main();
} catch (err) {
  console.error(`avatars: ${err.message}`);
  process.exit(1);
}
