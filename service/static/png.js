/** A PNG of an SVG figure, drawn by the browser: it has the fonts for every script on the page. */

const SCALE = 2; // for sharp screens and print
const MOST_PIXELS = 60_000_000;

/**
 * @param {Blob} picture the SVG
 * @param {Record<string, string>} facts go into the file as text (iTXt)
 * @returns {Promise<Blob>}
 */
export async function png(picture, facts) {
  const address = URL.createObjectURL(picture);
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const { naturalWidth: width, naturalHeight: height } = image;
    const scale = Math.min(SCALE, Math.sqrt(MOST_PIXELS / (width * height)));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    const drawn = await new Promise((resolve, reject) => {
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the canvas is too large"))), "image/png");
    });
    return withText(new Uint8Array(await drawn.arrayBuffer()), facts);
  } finally {
    URL.revokeObjectURL(address);
  }
}

const HEAD = 8 + 25; // the signature and the IHDR chunk, which comes first

/** The same PNG with one iTXt chunk (PNG 11.3.3.4) for each fact. */
function withText(bytes, facts) {
  const chunks = Object.entries(facts).map(([name, value]) => chunk("iTXt", `${name}\0\0\0\0\0${value}`));
  return new Blob([bytes.subarray(0, HEAD), ...chunks, bytes.subarray(HEAD)], { type: "image/png" });
}

function chunk(kind, text) {
  const body = new TextEncoder().encode(kind + text);
  const made = new Uint8Array(body.length + 8);
  const view = new DataView(made.buffer);
  view.setUint32(0, body.length - 4);
  made.set(body, 4);
  view.setUint32(body.length + 4, crc(body));
  return made;
}

/** CRC-32 as PNG wants it (ISO 3309). */
function crc(bytes) {
  let rest = 0xffffffff;
  for (const byte of bytes) {
    rest ^= byte;
    for (let bit = 0; bit < 8; bit += 1) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  }
  return (rest ^ 0xffffffff) >>> 0;
}
