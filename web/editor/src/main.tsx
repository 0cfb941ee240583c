/** Starts the page. */

import { render } from "preact";
import { App } from "./app.tsx";
import { followLocation } from "./navigation.ts";
import { watchRefusals, whoAmI } from "./session.ts";
import { startTheme } from "./theme.ts";

startTheme();
followLocation();
watchRefusals();
void whoAmI();
const root = document.getElementById("app");
if (root) render(<App />, root);
