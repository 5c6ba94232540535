import java.util.Arrays;
import java.util.Random;

/**
 * Half-Space Trees (Tan, Ting and Liu 2011) on inputs scaled by their running minimum and maximum, as river's pipeline has them:
 * 25 trees of height 8, windows of 250 readings, scores in [0, 1]. Flat arrays in heap order.
 */
final class HalfSpaceTrees {
    private static final int TREES = 25, HEIGHT = 8, WINDOW = 250;
    private static final int INNER = (1 << HEIGHT) - 1, NODES = (1 << (HEIGHT + 1)) - 1;
    private static final double PADDING = 0.15, SIZE_LIMIT = 0.1 * WINDOW;
    private static final double MOST = TREES * (double) WINDOW * ((1 << (HEIGHT + 1)) - 1);

    private final int inputs;
    private final int[] feature = new int[TREES * INNER];
    private final double[] split = new double[TREES * INNER];
    private final int[] before = new int[TREES * NODES];
    private final int[] now = new int[TREES * NODES];
    private final double[] lowest, highest, scaled;
    private int seen;
    private boolean first = true;

    HalfSpaceTrees(int inputs, long seed) {
        this.inputs = inputs;
        lowest = new double[inputs];
        highest = new double[inputs];
        scaled = new double[inputs];
        Arrays.fill(lowest, Double.POSITIVE_INFINITY);
        Arrays.fill(highest, Double.NEGATIVE_INFINITY);
        Random random = new Random(seed);
        for (int tree = 0; tree < TREES; tree++) {
            double[] low = new double[inputs], high = new double[inputs];
            Arrays.fill(high, 1.0);
            grow(tree, 0, low, high, random);
        }
    }

    private void grow(int tree, int node, double[] low, double[] high, Random random) {
        if (node >= INNER) {
            return;
        }
        int f = random.nextInt(inputs);
        double spare = PADDING * (high[f] - low[f]);
        double at = low[f] + spare + random.nextDouble() * (high[f] - low[f] - 2 * spare);
        feature[tree * INNER + node] = f;
        split[tree * INNER + node] = at;
        double keptHigh = high[f], keptLow = low[f];
        high[f] = at;
        grow(tree, 2 * node + 1, low, high, random);
        high[f] = keptHigh;
        low[f] = at;
        grow(tree, 2 * node + 2, low, high, random);
        low[f] = keptLow;
    }

    /** Scores a vector, then learns it. */
    double scoreThenLearn(double[] x) {
        scale(x);
        double mass = 0;
        for (int tree = 0; tree < TREES; tree++) {
            mass += walk(tree * INNER, tree * NODES);
        }
        double score = first ? 0.0 : 1.0 - mass / MOST;
        if (++seen == WINDOW) {
            System.arraycopy(now, 0, before, 0, now.length);
            Arrays.fill(now, 0);
            seen = 0;
            first = false;
        }
        return score;
    }

    private void scale(double[] x) {
        for (int i = 0; i < inputs; i++) {
            lowest[i] = Math.min(lowest[i], x[i]);
            highest[i] = Math.max(highest[i], x[i]);
            double width = highest[i] - lowest[i];
            scaled[i] = width == 0 ? 0 : (x[i] - lowest[i]) / width;
        }
    }

    /** Counts the vector on its way from root to leaf; returns the mass that the window before says, as the paper weighs it. */
    private double walk(int inner, int nodes) {
        double mass = 0;
        boolean scoring = !first;
        int node = 0;
        for (int depth = 0; ; depth++) {
            now[nodes + node]++;
            if (scoring) {
                int there = before[nodes + node];
                mass += there * (double) (1 << depth);
                scoring = there >= SIZE_LIMIT;
            }
            if (depth == HEIGHT) {
                return mass;
            }
            node = 2 * node + (scaled[feature[inner + node]] < split[inner + node] ? 1 : 2);
        }
    }
}
