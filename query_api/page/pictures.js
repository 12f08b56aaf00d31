/* Pictures that somebody searches with. They live in this page's memory, by a name that no other page gives. */
import { el } from "./dom.js";

const SENT_AS_IS = ["image/jpeg", "image/png", "image/webp"];
const MAX_BYTES = 2e6;
const MAX_SIDE = 1280;
const page = Date.now().toString(36);

/** name -> { url, base64 } */
export const pictures = new Map();

/** Keep a file's picture; its name. Raises for a file that is none. */
export async function keep(file) {
  const ready = await prepared(file);
  const name = `${page}.${pictures.size + 1}`;
  pictures.set(name, { url: URL.createObjectURL(ready), base64: await base64(ready) });
  return name;
}

/** Large pictures are made smaller here: less to send, and the camera's place and time stay at home. */
async function prepared(file) {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, MAX_SIDE / Math.max(bitmap.width, bitmap.height));
  if (scale === 1 && file.size <= MAX_BYTES && SENT_AS_IS.includes(file.type)) {
    bitmap.close();
    return file;
  }
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = el("canvas", { width, height });
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, width, height);
  pen.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
}

const base64 = (blob) =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1]);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });

const pictureIn = (transfer) => [...(transfer?.files ?? [])].find((f) => f.type.startsWith("image/")) ?? null;
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");

/** Take pictures from wherever they come: chosen, photographed, pasted or dropped. */
export function takePictures(inputs, take) {
  for (const input of inputs) {
    input.addEventListener("change", async () => {
      const [file] = input.files;
      if (file) await take(file);
      input.value = "";
    });
  }
  document.addEventListener("paste", (event) => {
    const file = pictureIn(event.clipboardData);
    if (!file) return;
    event.preventDefault();
    take(file);
  });
  document.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    document.body.dataset.drag = "";
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) delete document.body.dataset.drag;
  });
  document.addEventListener("drop", (event) => {
    delete document.body.dataset.drag;
    if (!carriesFiles(event)) return;
    event.preventDefault();
    take(pictureIn(event.dataTransfer) ?? event.dataTransfer.files[0]);
  });
}
