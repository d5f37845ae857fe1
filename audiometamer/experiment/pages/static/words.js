/** Every sentence of the page, but for the texts of the experimenter. */

export const BEGIN = "Begin";
export const CONTINUE = "Continue";
export const FINISH = "Finish";
export const SUBMIT = "Submit";
export const AGREE = "I agree and want to take part";
export const KEPT_HERE =
  "Your answer is kept in this browser and will be sent as soon as the server can be reached. Please leave this page open.";
export const ALL_ANSWERS = (n) => `All ${n} possible answers`;
export const CHOOSE = "Choose …";
export const REQUIRED = " (needed)";

export const LEVEL = `<h1>Set the volume</h1>
<ol>
<li>Please put your headphones on, in a quiet place.</li>
<li>Turn the volume of your device far down.</li>
<li>Play the noise, and turn the volume up until it is loud and clear, but comfortable.</li>
<li>Do not change the volume after that. No sound will be louder than this noise.</li>
</ol>`;
export const NOISE_ON = "Play the noise";
export const NOISE_OFF = "Stop the noise";

export const HEADPHONES = {
  huggins: `<h1>Are your headphones on?</h1>
<p>You will hear three noises, one after the other. In one of them there is a faint tone, which can be heard only over headphones.
Which one is it? Press the key of its number, or its button.</p>`,
  antiphase: `<h1>Are your headphones on?</h1>
<p>You will hear three tones, one after the other. Which one is the softest? Press the key of its number, or its button.</p>`,
};

export const PRACTICE = `<h1>Practice</h1><p>First some trials for practice. After each, you are told what was right.</p>`;
export const DEMONSTRATION = `<h1>Well practised</h1><p>Now some trials on your own. From here on you are not told what was right.</p>`;
export const MAIN = `<h1>The main part</h1><p>All is ready. The progress is shown at the top of the page.</p>`;
export const KINDS = { practice: PRACTICE, demonstration: DEMONSTRATION, main: MAIN };
export const REST = (done, all) => `<h1>Time for a rest</h1><p>You have answered ${done} of ${all}. Go on when you like.</p>`;
export const REST_AT = (share) => `<h1>Time for a rest</h1><p>About ${Math.round(100 * share)} % is done. Go on when you like.</p>`;
export const RIGHT = `<h1 class="right">Right</h1><p>It was <strong dir="auto" translate="no"></strong>.</p>`;
export const WRONG = `<h1 class="wrong">Not quite</h1><p>It was <strong dir="auto" translate="no"></strong>.</p>`;

export const QUESTIONS = "A few questions";
export const STOPPED = `<h1>Thank you</h1><p>The experiment ends here for you. Your answers are saved.</p>`;
export const SAVED = "Your answers are saved.";
export const SAVE = "Save my answers";
export const HERE_ALONE = "Your answers are in this browser alone. Please save them as a file and send it to the experimenter.";
export const CLOSE = "You may close this page.";
export const CANNOT_GO_ON = (reason) =>
  `The experiment cannot go on: ${reason}. What was confirmed is saved. Please tell the experimenter, or try this link again later.`;
/** The server has said why it cannot do something, which may be mended. */
export const notNow = (why) => `${why[0].toUpperCase()}${why.slice(1)}. Trying again…`;
export const NO_CONNECTION = "The server cannot be reached. Trying again…";

/** What is said of sounds, and asked after one, by the kind of task. */
export const SOUNDS = {
  PLAY: "Play the sound",
  PLAY_AGAIN: "The sound was interrupted. Play it again",
  ATTEND: "Listen…",
  BLOCKED: "This browser plays no sound yet. Please check that headphones are connected, and try again.",
  LOADING: "The sound is loading…",
  LOADED: (share) => `Loading the sounds: ${Math.round(100 * share)} %`,
  ONE_MOMENT: "One moment please, the next sound is being made…",
  WELCOME_BACK: `<h1>Welcome back</h1>
<p>You can go on where you were. Put your headphones on, and set the volume as it was before.</p>`,
  PROMPTS: {
    word: "Which word did you hear?",
    speaker: "Who was speaking?",
    abx: "Which one was the last sound the same as?",
    "odd-one-out": "Which one was different?",
    huggins: "Which one had the tone?",
    antiphase: "Which one was the softest?",
  },
};

/** The same of images. */
export const IMAGES = {
  PLAY_AGAIN: "The images were interrupted. Show them again",
  LOADING: "The images are loading…",
  ONE_MOMENT: "One moment please, the next image is being made…",
  WELCOME_BACK: `<h1>Welcome back</h1>
<p>You can go on where you were.</p>`,
  PROMPTS: {
    abx: "Which one was the last image the same as?",
    "odd-one-out": "Which one was different?",
  },
};

/** How answers are called that are intervals. */
export const INTERVALS = {
  abx: ["The first", "The second"],
  "odd-one-out": ["The first", "The second", "The third"],
  huggins: ["The first", "The second", "The third"],
  antiphase: ["The first", "The second", "The third"],
};
