/** AUC as lightness: what is no better than guessing fades into the page; worse than guessing has a hue of its own. */
import { interpolateLab, piecewise } from "d3-interpolate";

const above = {
  light: piecewise(interpolateLab, ["#eeeeea", "#b9c3d6", "#7489b4", "#3a5390", "#1b2f66"]),
  dark: piecewise(interpolateLab, ["#24282c", "#3a4a6b", "#5f7bb3", "#96b2e6", "#dce8ff"]),
};
const below = {
  light: piecewise(interpolateLab, ["#eeeeea", "#c9a3b4"]),
  dark: piecewise(interpolateLab, ["#24282c", "#75495c"]),
};

export function aucColour(auc: number, dark: boolean): string {
  const theme = dark ? "dark" : "light";
  return auc >= 0.5 ? above[theme](Math.min(1, (auc - 0.5) * 2)) : below[theme](Math.min(1, (0.5 - auc) * 2));
}
