"""What can be told of a page's looks and reachability without eyes. Runs in the page; each check returns what is wrong."""

# The contrast of every visible text with what is behind it: WCAG 2.2, 1.4.3.
LOW_CONTRAST = """
const channels = (color) => (color.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
const parse = (color) => { const [r, g, b, a = 1] = channels(color); return color.startsWith("color(srgb") ? [r * 255, g * 255, b * 255, a] : [r, g, b, a]; };
const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
const linear = (c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const behind = (element) => {
  const layers = [];
  for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
};
const low = [];
const top = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
for (const element of top.querySelectorAll("*")) {
  const text = [...element.childNodes].filter((node) => node.nodeType === 3 && node.data.trim()).map((node) => node.data.trim()).join(" ");
  if (!text || !element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) || element.closest(":disabled, script, style, option, noscript")) continue;
  const style = getComputedStyle(element);
  const [back, front] = [behind(element), parse(element instanceof SVGElement ? style.fill : style.color)];
  const [light, dark] = [luminance(over(front, back)), luminance(back)].sort((a, b) => b - a);
  const ratio = (light + 0.05) / (dark + 0.05);
  if (ratio < 4.5) low.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
}
return low;
"""

# What is wider than the window, and what is too small to hit: WCAG 2.2, 1.4.10 and 2.5.8.
CRAMPED = """
const found = [];
if (document.documentElement.scrollWidth > innerWidth) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
const top = [...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body;
if (top.scrollWidth > innerWidth) found.push(`the dialog is ${top.scrollWidth} wide`);
for (const element of top.querySelectorAll("button, input, select, textarea")) {
  const target = element.closest("label") ?? element;
  const { width, height, left, right } = target.getBoundingClientRect();
  const name = element.name || element.textContent || element.id;
  if (width === 0 || !element.checkVisibility()) continue;
  if (width < 24 || height < 24) found.push(`${name} is ${Math.round(width)} by ${Math.round(height)}`);
  if (left < 0 || right > innerWidth) found.push(`${name} is outside`);
}
return found;
"""

NAMED_ROLES = {"button", "textbox", "combobox", "radio", "checkbox", "dialog", "image", "img", "link", "table", "navigation", "heading"}


def nameless(browser):
    """Returns the roles of what a screen reader would find without a name."""
    nodes = browser.devtools("Accessibility.getFullAXTree")["nodes"]
    told = [node for node in nodes if not node["ignored"] and node.get("role", {}).get("value") in NAMED_ROLES]
    assert told, "the tree was read"
    return [node["role"]["value"] for node in told if not node.get("name", {}).get("value", "").strip()]
