import "react";

declare module "react" {
  interface CSSProperties {
    /** The color that a swatch or a bar takes. */
    "--color"?: string;
  }
}
