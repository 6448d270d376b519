// Light, dark, or as the system has it.

const THEMES = ["auto", "light", "dark"];

// Storage may be forbidden; the page works without it.
function remembered(storage, name) {
  try {
    return window[storage].getItem(name);
  } catch {
    return null;
  }
}

function remember(storage, name, value) {
  try {
    if (value === null) window[storage].removeItem(name);
    else window[storage].setItem(name, value);
  } catch {
    // Then it lasts as long as the page does.
  }
}

function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme}`;
}

function startTheme() {
  const stored = remembered("localStorage", "idemstore-theme");
  applyTheme(THEMES.includes(stored) ? stored : "auto");
  byId("theme").addEventListener("click", () => {
    const theme = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
    applyTheme(theme);
    remember("localStorage", "idemstore-theme", theme);
  });
}
