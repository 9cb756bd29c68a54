"""Jobs in Streamlit, live: `streamlit run streamlit_app.py`. See web/README.md for the gateway that it looks at."""

import os

import streamlit as st

GATEWAY = os.environ.get("STREAMPROC_URL", "http://127.0.0.1:8700")

# The element follows the job from the browser: no rerun of this script for each percent.
progress = st.components.v2.component(
    "job_progress",
    js="""
    export default async function ({parentElement, data}) {
      await import(`${data.gateway}/static/streamproc.js`);
      const tag = data.job ? "job-progress" : "job-list";
      const element = parentElement.querySelector(tag) ?? document.createElement(tag);
      if (data.job) element.setAttribute("job", data.job);
      if (!element.isConnected) parentElement.replaceChildren(element);
    }
    """,
)

st.title("Jobs")
job = st.text_input("Job", "import-42")
progress(key="one", data={"gateway": GATEWAY, "job": job})
st.subheader("All that are under way")
progress(key="all", data={"gateway": GATEWAY, "job": None})
