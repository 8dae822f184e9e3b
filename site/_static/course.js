// The theme's search button is labelled "Search" and reads "Search Ctrl K": speech control needs one name.
for (const button of document.querySelectorAll(".search-button-field")) button.removeAttribute("aria-label");
