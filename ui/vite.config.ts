import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { compress } from "./dev/compress.ts";

/** Where `npm run dev` sends API calls: the address that `farthing up` and `farthing demo` use when not told another. */
const control = process.env.FARTHING_CONTROL ?? "http://127.0.0.1:4181";

export default defineConfig({
  plugins: [react(), compress()],
  server: { proxy: { "/api": control } },
  build: {
    outDir: "../src/farthing/web/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 600,
  },
});
